import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Line, MAX_LINE, readLines } from '../../shared/exports/source-rows.ts'

async function* blocks(...parts: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const block of parts) yield typeof block === 'string' ? Buffer.from(block) : block
}

async function lines(body: AsyncIterable<Buffer>, longest?: number): Promise<Line[]> {
  return (await Array.fromAsync(readLines(body, longest))).flat()
}

const line = (number: number, text: string, tooLong = false) => ({ number, text, tooLong })

test.each([
  ['nothing', '', []],
  ['one line without a line break', '{"a":1}', [line(1, '{"a":1}')]],
  ['lines with LF', 'a\nb\n', [line(1, 'a'), line(2, 'b')]],
  ['lines with CRLF', 'a\r\nb\r\n', [line(1, 'a'), line(2, 'b')]],
  ['blank lines, which count', '\na\n \t\r\n\nb', [line(2, 'a'), line(5, 'b')]],
  ['a byte order mark', '\uFEFFa\nb', [line(1, 'a'), line(2, 'b')]],
  ['a byte order mark alone', '\uFEFF', []],
  ['characters of several bytes', 'ä€😀\n😀', [line(1, 'ä€😀'), line(2, '😀')]],
])('%s is read', async (_what, text, expected) => {
  expect(await lines(blocks(text))).toEqual(expected)
})

test('bytes that are not text do not stop the lines after them', async () => {
  const read = await lines(
    blocks('a\n', Buffer.from([0xff, 0xc3, 0x0a]), 'b\n', Buffer.from([0xe2, 0x82])),
  )

  expect(read.map(({ number }) => number)).toEqual([1, 2, 3, 4])
  expect(read[2]).toEqual(line(3, 'b'))
})

describe('a line that is too long', () => {
  test('keeps its beginning and its number, and the lines after it are read', async () => {
    expect(await lines(blocks('12345678\n1234567\nb\n'), 7)).toEqual([
      line(1, '1234567', true),
      line(2, '1234567'),
      line(3, 'b'),
    ])
  })

  test('is reported even when its beginning is blank', async () => {
    expect(await lines(blocks(' '.repeat(5), '     x\nb'), 7)).toEqual([
      line(1, '', true),
      line(2, 'b'),
    ])
  })

  test('may be endless: memory does not grow', async () => {
    const block = Buffer.alloc(1024 * 1024, 'x')
    let most = 0
    async function* endless() {
      for (let n = 0; n < 400; n++) {
        yield block
        most = Math.max(most, process.memoryUsage().heapUsed)
      }
      yield Buffer.from('\nlast')
    }
    const before = process.memoryUsage().heapUsed

    const read = await lines(endless())

    expect(read.map(({ number, text, tooLong }) => [number, text.length, tooLong])).toEqual([
      [1, MAX_LINE, true],
      [2, 4, false],
    ])
    expect(most - before).toBeLessThan(150 * 1024 * 1024)
  })
})

test('the lines are the same for any blocks of bytes', async () => {
  const piece = fc.oneof(
    fc.constantFrom('\n', '\r\n', '\n\n', ' ', '\uFEFF', 'ä', '😀', '{"a":1}'),
    fc.string(),
  )
  const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
  const cuts = fc.array(fc.nat(300), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(text, cuts, fc.integer({ min: 1, max: 30 }), async (sent, at, longest) => {
      const bytes = Buffer.from(sent)
      const ends = [...at.map((end) => end % (bytes.length + 1)), bytes.length].toSorted(
        (a, b) => a - b,
      )
      const cut = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))

      const [whole, inPieces] = [
        await lines(blocks(bytes), longest),
        await lines(blocks(...cut), longest),
      ]

      expect(inPieces).toEqual(whole)
      const expected = sent
        .split('\n')
        .map((raw, index) => ({ number: index + 1, blank: raw.trim() === '', raw }))
      const reported = expected.filter(({ blank, raw }) => !blank || raw.length > longest)
      expect(whole.map(({ number }) => number)).toEqual(reported.map(({ number }) => number))
    }),
  )
})
