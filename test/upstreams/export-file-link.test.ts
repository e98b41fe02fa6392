import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ShapeError } from '../../shared/platform/errors.ts'
import { parseLink } from '../../shared/upstreams/export-file.ts'

const base = 'https://tvm1.blob.core.windows.net/temp-0f2a'
const path =
  '2026-11-21/1001/InfoGatheringExport/json/OrgId=7d3c/_RbacGroupId=1001/part-00000.c000.json.gz'

test('the identity of a file is its path in the container, for any host, container, query and encoding', () => {
  const encoded = path.replaceAll('=', '%3D').replace('/json/', '/js%6Fn/')

  const paths = [
    `${base}/${path}?sv=1&sig=a`,
    `${base}/${encoded}?sig=b`,
    `https://other.invalid/temp-9/${path}`,
  ].map((link) => parseLink(link).blobPath)

  expect(paths).toEqual([path, path, path])
})

test('files with one name in two groups are two files', () => {
  const other = path.replace('_RbacGroupId=1001', '_RbacGroupId=12275')

  expect(parseLink(`${base}/${path}`).blobPath).not.toBe(parseLink(`${base}/${other}`).blobPath)
})

test.each<[string, string, string | null]>([
  ['the end of the signature', 'se=2026-11-21T16%3A36%3A00Z', '2026-11-21T16:36:00.000Z'],
  [
    'the earlier end of the key',
    'se=2026-11-21T16:36:00Z&ske=2026-11-21T15:00:00Z',
    '2026-11-21T15:00:00.000Z',
  ],
  [
    'the earlier end of the signature',
    'se=2026-11-21T14:36:00Z&ske=2026-11-21T15:00:00Z',
    '2026-11-21T14:36:00.000Z',
  ],
  ['a day', 'se=2026-11-21', '2026-11-21T00:00:00.000Z'],
  ['a time without seconds', 'se=2026-11-21T10:00Z', '2026-11-21T10:00:00.000Z'],
  ['a time without a zone', 'se=2026-11-21T10:00:00', '2026-11-21T10:00:00.000Z'],
  ['fractions of a second', 'se=2026-11-21T10:00:00.1234567Z', '2026-11-21T10:00:00.123Z'],
  ['the readable of two ends', 'se=soon&ske=2026-11-21T15:00:00Z', '2026-11-21T15:00:00.000Z'],
  ['an unreadable end', 'se=soon', null],
  ['no end', 'sig=a', null],
])('a link expires at %s', (_, query, expected) => {
  const { expiresAt } = parseLink(`${base}/${path}?${query}`)

  expect(expiresAt?.toISOString() ?? null).toBe(expected)
})

test.each([
  '',
  'part-0.json.gz',
  'https://host',
  'https://host/container',
  'https://host/container/',
])('a text that leads to no blob is a ShapeError: "%s"', (text) => {
  expect(() => parseLink(text)).toThrow(ShapeError)
})

test('a single percent sign stays, and any text is a link or a ShapeError that hides it', () => {
  expect(parseLink(`${base}/a%zz/b`).blobPath).toBe('a%zz/b')
  fc.assert(
    fc.property(fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string()), (text) => {
      try {
        expect(parseLink(text).blobPath).not.toBe('')
      } catch (error) {
        expect(error).toBeInstanceOf(ShapeError)
        expect((error as Error).message).toBe(
          'defender: GET /api/machines/InfoGatheringExport: a listed file is not a link to a blob',
        )
      }
    }),
  )
})

test('a text that is longer than any time says no end, however it is made', () => {
  const link = (end: string) => `https://a.blob.core.windows.net/temp-1/a.json.gz?se=${end}`

  // The last one is a time: without a bound its length would be searched.
  const long = `2026-11-30T10:00:00.${'0'.repeat(60)}Z`
  for (const end of ['T'.repeat(100_000), `2026-01-31T${'1'.repeat(100_000)}`, long])
    expect(parseLink(link(end)).expiresAt).toBeNull()
})
