import { expect, test } from 'vitest'
import { factsOf, formatBlocks, sayDuration } from '../../local/relay/format.ts'

const columns = { id: 'id', name: 'who.name', seen: 'seen', note: 'note' }
const rows = [
  {
    id: 'a1',
    who: { name: '東京' },
    seen: '2026-11-20T10:00:00.123Z',
    note: 'a word that goes on for long',
  },
  { id: 'b22', who: { name: 'Lisboa' }, seen: null, note: ['one', 2] },
]
const page = { isFirst: true, width: undefined }

test('columns are aligned, wide characters count twice, a missing value is a dash', () => {
  expect(formatBlocks([{ rows, columns }], page)).toEqual([
    'id   name    seen                  note',
    'a1   東京    2026-11-20T10:00:00Z  a word that goes on for long',
    'b22  Lisboa  –                     one, 2',
  ])
})

test('in a narrow terminal times are short and texts go on in the next line: nothing is cut', () => {
  expect(formatBlocks([{ rows, columns }], { ...page, width: 45 })).toEqual([
    'id   name    seen            note',
    'a1   東京    11-20 10:00:00  a word that goes',
    '                             on for long',
    'b22  Lisboa  –               one, 2',
  ])
})

test('where columns would be too narrow, the least important one is left out, then the last one', () => {
  const narrow = { ...page, width: 31 }

  expect(formatBlocks([{ rows, columns, drop: ['note'] }], narrow)).toEqual([
    'id   name    seen',
    'a1   東京    11-20 10:00:00',
    'b22  Lisboa  –',
  ])
  expect(formatBlocks([{ rows, columns }], { ...page, width: 24 })[0]).toBe('id   name    seen')
})

test('facts and sentences go on in the next line, under their own beginning', () => {
  const facts: [string, string][] = [
    ['cause', 'a reason with some words'],
    ['fix', 'try again'],
  ]
  const blocks = [{ title: 'problems', texts: [{ text: 'error: this is wrong', facts }] }]

  expect(formatBlocks(blocks, { ...page, width: 22 })).toEqual([
    '',
    'problems',
    'error: this is wrong',
    '  cause  a reason with',
    '         some words',
    '  fix    try again',
  ])
})

test('a number of seconds has its unit', () => {
  expect([0, 119, 120, 7199, 7200, 172_800, null].map(sayDuration)).toEqual([
    '0 s',
    '119 s',
    '2 min',
    '119 min',
    '2 h',
    '2 d',
    null,
  ])
})

test('later pages of a list are only rows', () => {
  const blocks = [
    { facts: factsOf({ a: { b: 1 }, of: [{}] }) },
    { rows: rows.slice(1), columns: { id: 'id' } },
  ]

  expect(formatBlocks(blocks, page)).toEqual(['a.b  1', 'id', 'b22'])
  expect(formatBlocks(blocks, { ...page, isFirst: false })).toEqual(['b22'])
})

test('texts of a service are escaped where they could control a terminal', () => {
  const facts = factsOf({ 'a\u001b[2J': 'line\r\nbreak', 'b\u{e0041}': '\u2066\ud800' })

  expect(formatBlocks([{ facts }], page)).toEqual([
    'a\\u001b[2J     line\\u000d\\u000abreak',
    'b\\udb40\\udc41  \\u2066\\ud800',
  ])
})
