import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createSimulatorCredential } from '../../local/laptop.ts'
import { createFleet } from '../../local/simulator/fleet.ts'
import { startSimulator } from '../../local/simulator/simulator.ts'

const SCOPE = 'https://api.securitycenter.microsoft.com/.default'

/** Calls Defender's list of files with a token. */
const listWith = async (origin: string, token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${origin}/defender/api/machines/InfoGatheringExport`, { headers })).status
}

test('a token gives access to Defender until it expires, by the local clock', async () => {
  const clock = createAdjustableClock(3_600_000 * 50)
  const simulator = await startSimulator({
    clock,
    fleet: createFleet({ size: 1 }),
    token: { lifetimeSeconds: 600 },
  })
  onTestFinished(simulator.stop)
  const credential = createSimulatorCredential(simulator.origin, clock)

  const token = await credential.getToken(SCOPE)

  const leftMs = (token?.expiresOnTimestamp ?? 0) - clock.now().getTime()
  expect(leftMs).toBeGreaterThan(500_000)
  expect(leftMs).toBeLessThanOrEqual(600_000)
  expect(await listWith(simulator.origin, token?.token ?? '')).toBe(200)
  clock.advance(leftMs + 1000)
  expect(await listWith(simulator.origin, token?.token ?? '')).toBe(401)
})

test.each([
  ['refuses', 401, '{"error": "invalid_client"}', 'answered 401'],
  ['answers something else', 200, '{"token": "x"}', 'access_token'],
])('an endpoint that %s is an error, not an empty token', async (_what, status, body, sentence) => {
  const server = createServer((_request, response) => response.writeHead(status).end(body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const asking = createSimulatorCredential(origin, createAdjustableClock()).getToken(SCOPE)

  await expect(asking).rejects.toThrow(sentence)
})
