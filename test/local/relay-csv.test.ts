import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { typeRelay } from './relay-typed.ts'

const link = '</api/devices?after=2&limit=10000&format=csv>; rel="next"'
const csv = { 'content-type': 'text/csv; charset=utf-8' }
const problem = { title: 'Gone', detail: 'The snapshot was dropped.', fix: 'Begin again.' }

/** Types `devices list --csv` at an app that answers two pages. */
async function typeAt(last: 'good' | 'gone') {
  const keys: unknown[] = []
  const server = createServer((request, response) => {
    keys.push(request.headers['x-functions-key'])
    const isFirst = !request.url?.includes('after=2')
    if (isFirst) response.writeHead(200, { ...csv, link }).end('"a","b"\r\n"1","x\r\ny"\r\n')
    else if (last === 'good') response.writeHead(200, csv).end('"a","b"\r\n"2",""\r\n')
    else
      response
        .writeHead(410, { 'content-type': 'application/problem+json' })
        .end(JSON.stringify(problem))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const folder = mkdtempSync(join(tmpdir(), 'relay-csv-'))
  const file = join(folder, 'devices.csv')
  const { port } = server.address() as AddressInfo
  const answer = await typeRelay([
    ...[
      'devices',
      'list',
      '--csv',
      file,
      '--url',
      `http://127.0.0.1:${port}`,
      '--key',
      'a-key-of-the-test',
    ],
  ])
  await new Promise((resolve) => server.close(resolve))
  return { ...answer, file, folder, keys }
}

test('pages become one file with one line of names', async () => {
  const { code, file, keys } = await typeAt('good')

  expect(code).toBe(0)
  expect(readFileSync(file, 'utf8')).toBe('\ufeff"a","b"\r\n"1","x\r\ny"\r\n"2",""\r\n')
  expect(keys).toEqual(['a-key-of-the-test', 'a-key-of-the-test'])
})

test('a page that is gone ends with the error and leaves no file', async () => {
  const { code, err, file, folder } = await typeAt('gone')

  expect(code).toBe(1)
  expect(err).toContain('Gone')
  expect(existsSync(file)).toBe(false)
  expect(readdirSync(folder)).toEqual([])
})
