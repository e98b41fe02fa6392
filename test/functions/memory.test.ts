import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** Makes objects of which some live for a while, as an import does; answers the largest space for new ones, in MiB. */
const work = `
  import { getHeapSpaceStatistics } from 'node:v8'
  let live = []
  let largest = 0
  for (let n = 0; n < 2_000_000; n++) {
    live.push({ n, text: 'x' + n, list: [n] })
    if (live.length === 60_000) live = []
    if (n % 20_000 > 0) continue
    const spaces = getHeapSpaceStatistics()
    largest = Math.max(largest, spaces.find((space) => space.space_name === 'new_space').space_size)
  }
  console.log(largest / 2 ** 20)
`
const entry = new URL('../../shared/app/memory.ts', import.meta.url).href

async function largestSpace(code: string): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    code,
  ])
  return Number(stdout)
}

test('the entry of the app stops the heap for new objects from growing to what the machine has', async () => {
  const [free, limited] = await Promise.all([
    largestSpace(work),
    largestSpace(`import '${entry}'\n${work}`),
  ])

  expect(free).toBeGreaterThan(30)
  expect(limited).toBeLessThan(20)
})

test('the entry of the app sets its memory before it loads anything else', async () => {
  const index = await readFile(new URL('../../functions/index.ts', import.meta.url), 'utf8')

  expect(index.split('\n')[0]).toBe("import '../shared/app/memory.ts'")
})
