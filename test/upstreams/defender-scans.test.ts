import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { ShapeError } from '../../shared/platform/errors.ts'
import { createHttp } from '../../shared/platform/http.ts'
import type { DefenderOptions } from '../../shared/upstreams/defender.ts'
import { createDefenderScans } from '../../shared/upstreams/defender-scans.ts'
import { json, type Step, scripted } from '../platform/http-script.ts'

async function scansOf(...steps: Step[]) {
  const server = await scripted(...steps)
  const used: unknown[] = []
  const budget = {
    acquire: async (...call: unknown[]) => void used.push(call),
    stop: async () => {},
  } as unknown as DefenderOptions['budget']
  const http = createHttp({
    upstream: 'defender',
    clock: createAdjustableClock(),
    userAgent: 'test',
    attempts: 1,
  })
  return {
    server,
    used,
    scans: createDefenderScans({ http, token: async () => 't', budget, baseUrl: server.url() }),
  }
}

const at = '/api/DeviceAuthenticatedScanDefinitions'

test('several sessions are one post, with the names as documented, out of the interactive share', async () => {
  const { scans, server, used } = await scansOf(json({ value: [{ SessionIds: 'a' }] }))

  const history = await scans.historyOfSessions(['a', 'b'])

  expect(history?.rows).toEqual([{ SessionIds: 'a' }])
  expect(server.sent[0]).toMatchObject({ method: 'POST', path: `${at}/GetScanHistoryBySessionId` })
  expect(JSON.parse(server.sent[0]?.body ?? '')).toEqual({ SessionIds: ['a', 'b'] })
  expect(used).toEqual([['authenticated-scans', { waitUpToMs: 0, priority: 'interactive' }]])
})

test('pages of a definition are counted in whole numbers', async () => {
  const { scans, server } = await scansOf(json({ value: [] }))

  await scans.historyOfDefinition('d', { top: 101, skip: 100_000 })

  expect(server.sent[0]?.path).toBe(`${at}/GetScanHistoryByScanDefinitionId?$top=101&$skip=100000`)
  expect(JSON.parse(server.sent[0]?.body ?? '')).toEqual({ ScanDefinitionIds: ['d'] })
})

test('the credentials of a definition are hidden', async () => {
  const { scans } = await scansOf(
    json({ value: [{ id: 'd', scanAuthenticationParams: { password: 'CANARY' } }] }),
  )

  const definitions = await scans.definitions()

  expect(definitions?.rows).toEqual([{ id: 'd', scanAuthenticationParams: '[hidden]' }])
  expect(JSON.stringify(definitions)).not.toContain('CANARY')
})

test.each([
  ['no rows', { value: [] }, []],
  ['nothing in place of rows', { value: null }, []],
  ['one row that is not in a list', { value: { SessionIds: 'a' } }, [{ SessionIds: 'a' }]],
])('%s are rows', async (_case, body, rows) => {
  const { scans } = await scansOf(json(body))

  expect((await scans.historyOfSessions(['a']))?.rows).toEqual(rows)
})

test.each([
  ['another member', json({ results: [] })],
  ['rows that are none', json({ value: [1] })],
  ['JSON that was cut short', { body: '{"value":[{"SessionIds":"a"' }],
  [
    'the broken text of the documentation',
    { body: '{"value":[{"SessionIds":"a","Targets":{"Ip":"192.0.2.1",},{"Ip":"192.0.2.2",},}]}' },
  ],
  ['a page of HTML', { headers: { 'content-type': 'text/html' }, body: '<html></html>' }],
])('%s is a ShapeError and no empty list', async (_case, step) => {
  const { scans } = await scansOf(step)

  await expect(scans.historyOfSessions(['a'])).rejects.toThrow(ShapeError)
})

const missing: Step = { status: 404, body: '{"error":{"code":"ResourceNotFound"}}' }

test('a list of definitions that is not there is an error, and no empty list', async () => {
  const { scans } = await scansOf(missing)

  await expect(scans.definitions()).rejects.toMatchObject({ facts: { status: 404 } })
})

test('a history that is not there is undefined, but an error when the definitions are not there', async () => {
  const { scans } = await scansOf(missing, json({ value: [] }), missing, missing)

  expect(await scans.historyOfSessions(['a'])).toBeUndefined()
  await expect(scans.historyOfDefinition('d', { top: 1, skip: 0 })).rejects.toMatchObject({
    facts: { status: 404, call: `GET ${at}` },
  })
})
