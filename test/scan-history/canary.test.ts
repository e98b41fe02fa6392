import { gunzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import { sampleDefinitions } from '../../local/simulator/scans/sample-scans.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { fromTextColumns } from '../../shared/platform/table-record.ts'
import { storedTexts } from '../exports/stored-texts.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

let stack: TestStack
afterEach(() => stack.stop())

/** The unpacked texts and the other columns of the cache. */
async function cachedTexts(): Promise<string[]> {
  const texts: string[] = []
  for await (const { columns } of createTables({ connectionString: stack.storage })(
    'ScanCache',
  ).list({})) {
    const { text, ...others } = columns
    texts.push(JSON.stringify(others))
    if (text !== undefined)
      texts.push(gunzipSync(Buffer.from(fromTextColumns('text', columns), 'base64')).toString())
  }
  return texts
}

test('keys, tokens and the credentials of scans are in no answer, log line, error or stored row', async () => {
  const env = {
    ...noTimers,
  }
  stack = await startTestStack({ fleet: { size: 5, files: 1, badLines: 0 }, env })
  const { scans, tenableKeys, issuedSecrets, setFaults } = stack.simulator
  // As if somebody had pasted them there, or the service returned them.
  const { accessKey, secretKey } = tenableKeys
  scans.tenable.put({ id: 401, name: `of ${accessKey}; secretKey=${secretKey}`, runs: [{}] })
  scans.sessions.put({ id: 's401', targets: [{ error: `Authorization: Bearer ${secretKey}` }] })

  const paths = [
    'tenable/scans/401',
    'tenable/scans/102',
    'defender/sessions/s401',
    `defender/definitions/${sampleDefinitions[0]}`,
  ]
  for (const path of paths)
    expect((await stack.get(`scan-history/${path}?raw=true`)).status).toBe(200)
  for (const path of ['tenable/scans/401/runs', 'tenable/scans/401/status', 'defender/definitions'])
    expect((await stack.get(`scan-history/${path}`)).status).toBe(200)
  setFaults({
    tenableStatus: { answer: 'unauthorized', calls: 9 },
    scanHistoryStatus: { answer: 403, calls: 9 },
  })
  stack.clock.advance(31_000)
  expect((await stack.get('scan-history/tenable/scans/401')).status).toBe(502)
  expect((await stack.get('scan-history/defender/sessions/s402')).status).toBe(502)
  await stack.get('status')

  const cached = await cachedTexts()
  const stored = (await storedTexts(stack.storage)).map(({ text }) => text)
  const texts = [...cached, ...stored, ...stack.lines, ...stack.answers]
  const secrets = [...issuedSecrets].flatMap((secret) => [secret, encodeURIComponent(secret)])
  const found = secrets.filter((secret) => texts.some((text) => text.includes(secret)))

  expect(secrets).toEqual(expect.arrayContaining([accessKey, secretKey]))
  expect(cached.length).toBeGreaterThan(8)
  expect(stack.answers.join()).toContain('[hidden]')
  expect(found).toEqual([])
})
