import { describe, expect, test } from 'vitest'
import type { TenableFault } from '../../../local/simulator/faults.ts'
import { giveUp } from '../../limits.ts'
import { startScanCaller } from './scan-caller.ts'

describe('authorization', () => {
  test('needs the key pair; spaces in the header do not matter', async () => {
    const { simulator, tenable } = await startScanCaller()
    const { accessKey, secretKey } = simulator.tenableKeys
    const ask = (header: string) => tenable('scans/101/latest-status', { 'x-apikeys': header })

    const good = [
      await ask(`accessKey=${accessKey};secretKey=${secretKey}`),
      await ask(`accessKey=${accessKey}; secretKey=${secretKey};`),
    ]
    const bad = [
      await ask(''),
      await ask(`accessKey=${accessKey}; secretKey=other`),
      await ask(`${accessKey};${secretKey}`),
    ]

    expect(good.map(({ status }) => status)).toEqual([200, 200])
    for (const { status, body } of bad) {
      expect([status, body]).toEqual([
        401,
        { statusCode: 401, error: 'Unauthorized', message: 'Invalid credentials.' },
      ])
    }
    expect([...simulator.issuedSecrets]).toEqual(expect.arrayContaining([accessKey, secretKey]))
  })

  test('gives every answer an id, and counts the calls of each route', async () => {
    const { simulator, tenable } = await startScanCaller()
    const agent = 'Integration/1.0 (Contoso; relay; Build/1.0.0)'

    const answers = [
      await tenable('scans', { 'user-agent': agent }),
      await tenable('scans/101'),
      await tenable('scans/101'),
      await tenable('scans/101/history'),
      await tenable('scans/999/latest-status'),
      await tenable('scans/101', { 'x-apikeys': 'none' }),
      await tenable('elsewhere'),
    ]

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 404, 401, 404])
    expect(answers.at(-1)?.body).toEqual({ error: 'The requested file was not found' })
    const ids = answers.map(({ headers }) => headers.get('x-request-uuid') ?? '')
    expect(new Set(ids).size).toBe(7)
    for (const id of ids) expect(id).toMatch(/^[\da-f]{32}$/)
    expect(simulator.scans.calls).toMatchObject({
      scans: 1,
      details: 3,
      history: 1,
      'latest-status': 1,
    })
    expect(simulator.scans.userAgents).toContain(agent)
  })

  test('lists scans, those never launched with dates of 0', async () => {
    const { tenable } = await startScanCaller()

    const { body } = await tenable('scans')

    expect(Object.keys(body)).toEqual(['folders', 'scans', 'timestamp'])
    expect(body.scans).toHaveLength(18)
    const never = body.scans.find(({ id }: { id: number }) => id === 108)
    expect(never).toMatchObject({ status: 'empty', creation_date: 0, last_modification_date: 0 })
    expect(body.scans[0]).not.toHaveProperty('legacy')
  })

  test('refuses too many calls in a minute with a page of HTML', async () => {
    const { clock, tenable } = await startScanCaller({ faults: { tenableCallsPerMinute: 2 } })
    await tenable('scans/101/latest-status')
    clock.advance(20_000)
    await tenable('scans/101')

    const refused = await tenable('scans/101/history')
    clock.advance(40_000)
    const passed = await tenable('scans/101/history')

    expect(refused.status).toBe(429)
    expect(Object.fromEntries(refused.headers)).toMatchObject({
      'content-type': 'text/html',
      'retry-after': '40',
    })
    expect(refused.text).toMatch(/^<html>/)
    expect(passed.status).toBe(200)
  })

  test('refuses too many concurrent calls; slow answers take time by the clock', async () => {
    const { simulator, clock, tenable } = await startScanCaller({
      faults: { tenableCallsAtOnce: 2, slowScanSeconds: 90 },
    })
    const slow = [tenable('scans/101'), tenable('scans/101')]
    while (simulator.scans.calls.details < 2) await new Promise(setImmediate)

    const refused = await tenable('scans/101')
    const early = simulator.requests.filter(({ status }) => status === 200)
    clock.advance(90_000)
    const answers = await Promise.all(slow)
    simulator.setFaults({ slowScanSeconds: 0 })

    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '30'])
    expect(early).toEqual([])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect((await tenable('scans/101')).status).toBe(200)
  })
})

describe('faults', () => {
  test.each<[TenableFault['answer'], number, string | RegExp]>([
    ['bad-request', 400, '{"error":"Invalid parameter"}'],
    [
      'unauthorized',
      401,
      '{"statusCode":401,"error":"Unauthorized","message":"Invalid credentials."}',
    ],
    ['forbidden', 403, '{"statusCode":403,"error":"Forbidden","message":"Insufficient scope"}'],
    ['not-found', 404, '{"error":"Scan not found"}'],
    ['no-such-path', 404, '{"error":"The requested file was not found"}'],
    ['rate', 429, /^<html>/],
    ['concurrency', 429, /^<html>/],
    [
      'duplicate-export',
      429,
      /^\{"status":429,"message":"Duplicate export not allowed\. .+ container_uuid=/,
    ],
    [
      'duplicate-export-in-pieces',
      429,
      /^\{"values":\[.+"strings":\["Duplicate export \(job_uuid="/,
    ],
    ['server-error', 500, /^\{"statusCode":500,"error":/],
    ['gateway-timeout', 504, /^\{"statusCode":504,"error":"Gateway Timeout"/],
    ['html', 502, /^<html>/],
    ['html-200', 200, /^<html>/],
    ['broken-json', 200, /[^}]$/],
  ])('an answer can be %s', async (answer, status, text) => {
    const { simulator, tenable } = await startScanCaller({
      faults: { tenableStatus: { answer, calls: 1 } },
    })

    const forced = await tenable('scans/101')

    expect(forced.status).toBe(status)
    expect(forced.text).toEqual(typeof text === 'string' ? text : expect.stringMatching(text))
    expect(forced.headers.get('x-request-uuid')).toMatch(/^[\da-f]{32}$/)
    expect((await tenable('scans/101')).status).toBe(200)
    expect(simulator.faults.tenableStatus).toMatchObject({ calls: 0 })
  })

  test('an answer can be cut off, reset or never come', async () => {
    const { simulator, tenable } = await startScanCaller()
    const { origin, tenableKeys } = simulator
    const keys = `accessKey=${tenableKeys.accessKey}; secretKey=${tenableKeys.secretKey}`
    const broken = async (answer: TenableFault['answer']) => {
      simulator.setFaults({ tenableStatus: { answer, calls: 1 } })
      const isSilent = () => answer === 'timeout' && simulator.faults.tenableStatus?.calls === 0
      const response = await giveUp(isSilent, (signal) =>
        fetch(`${origin}/tenable/scans/101`, { headers: { 'x-apikeys': keys }, signal }),
      )
      return response.text()
    }

    await expect(broken('truncated')).rejects.toThrow('terminated')
    await expect(broken('reset')).rejects.toThrow('fetch failed')
    await expect(broken('timeout')).rejects.toThrow('given up')
    expect((await tenable('scans/101')).status).toBe(200)
  })

  test.each([
    ['tenableDetailsStatus', 'scans/101'],
    ['tenableHistoryStatus', 'scans/101/history'],
    ['tenableLatestStatus', 'scans/101/latest-status'],
    ['tenableScansStatus', 'scans'],
  ] as const)('%s is answered by its route alone, after so many others', async (fault, path) => {
    const { tenable } = await startScanCaller({
      faults: { [fault]: { answer: 'forbidden', calls: 1, passFirst: 1 } },
    })
    const all = ['scans/101', 'scans/101/history', 'scans/101/latest-status', 'scans']

    const refused = []
    for (const asked of [...all, ...all, ...all]) {
      if ((await tenable(asked)).status === 403) refused.push(asked)
    }

    expect(refused).toEqual([path])
  })
})
