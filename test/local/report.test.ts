import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { describeReport, describeTries } from '../../local/report.ts'
import { startTestStack } from '../stack.ts'

/** The arguments that a shell passes to the command of a line. */
async function argumentsIn(line: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    line.trim().replace(/^curl /, `printf '%s\\n' `),
  ])
  return stdout.trimEnd().split('\n')
}

/** Makes the request that curl would make. */
async function follow([...words]: string[]): Promise<Response> {
  const headers = new Headers()
  let [url, method, body] = ['', 'GET', undefined as string | undefined]
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === '-s') continue
    if (word === '-X') method = words.shift() ?? ''
    else if (word === '-d') body = words.shift()
    else if (word === '-H')
      headers.append(...((words.shift() ?? '').split(': ') as [string, string]))
    else url = word
  }
  return fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
}

test('one link is renewed, and several are', async () => {
  const counts = {
    listed: 1,
    imported: 1,
    failed: 0,
    parsed: 1,
    written: 1,
    duplicates: 0,
    rejected: 0,
  }
  const lines = (linksRenewed: number) =>
    describeReport({
      ...{ runId: 'r', state: 'published', reason: null, counts, devices: 1, seconds: 1 },
      ...{ rowsPerSecond: 1, notReadyAtFirst: 0, linksRenewed, unknownFields: {}, unreadable: {} },
      ...{ firstRejects: [], ok: true },
    } as unknown as Parameters<typeof describeReport>[0]).join('\n')

  expect(lines(1)).toContain(' 1 link renewed')
  for (const links of [0, 2]) expect(lines(links)).toContain(` ${links} links renewed`)
})

test('every suggested command works when it is pasted into a shell', async () => {
  const stack = await startTestStack()
  onTestFinished(() => stack.stop())
  const { body } = await stack.post('av-health/exports')
  const run = await stack.runToEnd(body.runId)
  const { size, generatedTime } = stack.fleet.options
  const report = { ...run, ok: true, devices: size, seconds: 1, rowsPerSecond: size }
  const source = { kind: 'fleet', size, generatedTime } as const

  const served = { url: stack.host.url, key: stack.keys.function, report, source }
  const lines = describeTries({ ...served, data: resolve('.local') })

  const commands = lines.filter((line) => line.includes('curl'))
  expect(commands.length).toBeGreaterThanOrEqual(5)
  for (const line of commands) {
    const response = await follow(await argumentsIn(line))
    expect(response.status, line).toBe(line.includes('POST') ? 202 : 200)
  }
  const client = lines.filter((line) => line.includes('relay -- '))
  expect(client).toEqual([`  npm run relay -- status --url ${stack.host.url}`])
  const other = describeTries({ ...served, data: "/tmp/it's here" })
  expect(other.find((line) => line.includes('relay -- '))).toBe(
    `${client} --data '/tmp/it'\\''s here'`,
  )
  expect(describeReport(report).join('\n')).toContain('300 in the current snapshot')
})
