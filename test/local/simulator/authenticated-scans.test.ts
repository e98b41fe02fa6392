import { describe, expect, test } from 'vitest'
import type { HistoryShape } from '../../../local/simulator/faults.ts'
import { sampleDefinitions, sampleSessions } from '../../../local/simulator/scans/sample-scans.ts'
import { startScanCaller } from './scan-caller.ts'

const [good, partial, bad] = sampleSessions
const [network, windows, idle] = sampleDefinitions

describe('how a history is written', () => {
  test('by session it is as in the sample of its page, except that it is valid JSON', async () => {
    const { simulator, history } = await startScanCaller()

    const { status, body } = await history('Session', { SessionIds: [good] })

    expect(status).toBe(200)
    expect(body['@odata.context']).toBe(
      `${simulator.origin}/defender/api/DeviceAuthenticatedScanDefinitions/GetScanHistoryBySessionId`,
    )
    expect(body.value).toEqual([
      {
        orgId: expect.any(String),
        ScanDefinitionIds: network,
        SessionIds: good,
        NumberOfSuccessfullyScannedTargets: 3,
        NumberOfTargets: 3,
        ScanStatus: 'Success',
        LastScanned: '2026-11-19T20:00:00.5561791Z',
        ListScannedTargets: expect.any(Array),
      },
    ])
    expect(body.value[0].ListScannedTargets[1]).toEqual({
      Ip: '127.0.0.2',
      Hostname: 'DESKTOP-Test2',
      ScannedDeviceDescription: 'Network device 2',
      ErrorMessage: '',
      ScanStatus: 'Success',
      ScanDuration: '00:08:30',
    })
  })

  test('by definition it has four names, a row for each session', async () => {
    const { history } = await startScanCaller()

    const { body } = await history('ScanDefinition', { ScanDefinitionIds: [network] })

    expect(body.value.map(Object.keys)).toEqual(
      Array.from({ length: 2 }, () => [
        'ScanDefinitionIds',
        'LastScanned',
        'ScanStatus',
        'ScannerId',
      ]),
    )
    expect(body.value.map((row: { ScanStatus: string }) => row.ScanStatus)).toEqual([
      'Success',
      'Partial Success',
    ])
  })

  test('it can be as the metadata declares it: nine names, none of them a time', async () => {
    const { history } = await startScanCaller({
      faults: { scanHistoryShape: 'metadata', scanStatusWords: 'joined' },
    })

    const bySession = await history('Session', { SessionIds: [partial] })
    const byDefinition = await history('ScanDefinition', { ScanDefinitionIds: [network] })

    const [row] = bySession.body.value
    expect(Object.keys(row)).toEqual([
      'orgId',
      'scanDefinitionId',
      'sessionId',
      'scannerId',
      'numberOfSuccessfullyScannedTargets',
      'numberOfTargets',
      'scanStatus',
      'generalErrorMessage',
      'scannedTargets',
    ])
    expect(row).toMatchObject({
      scanStatus: 'PartialSuccess',
      numberOfSuccessfullyScannedTargets: 1,
    })
    expect(row.scannedTargets[1]).toEqual({
      ip: '127.0.0.2',
      hostname: 'DESKTOP-Test2',
      scannedDeviceDescription: 'Network device 2',
      errorMessage: 'The target could not be reached.',
      scanStatus: 'Failure',
      scanDuration: '00:08:30.0000000',
    })
    expect(byDefinition.body.value[1]).toEqual(row)
  })

  test('a single target can be an object instead of a list', async () => {
    const { history } = await startScanCaller({ faults: { scanHistoryShape: 'one-target' } })

    const { body } = await history('Session', { SessionIds: [bad] })

    expect(body.value[0]).toMatchObject({
      ScanStatus: 'Failure',
      ListScannedTargets: { Ip: '127.0.0.1' },
    })
  })

  test.each<[HistoryShape, string[]]>([
    ['session-sample', ['NumberOfTargets', 'ListScannedTargets']],
    ['definition-sample', ['ScannerId']],
  ])('either route can answer as the %s', async (scanHistoryShape, names) => {
    const { history } = await startScanCaller({ faults: { scanHistoryShape } })

    const answers = [
      await history('Session', { SessionIds: [good] }),
      await history('ScanDefinition', { ScanDefinitionIds: [windows] }),
    ]

    for (const { body } of answers)
      expect(Object.keys(body.value[0])).toEqual(expect.arrayContaining(names))
  })
})

describe('which sessions', () => {
  test('several ids are requested at once, and unknown ones have no row', async () => {
    const { history } = await startScanCaller()

    const several = await history('Session', { SessionIds: [good, 'unknown', bad] })
    const none = await history('Session', { SessionIds: ['unknown'] })
    const never = await history('ScanDefinition', { ScanDefinitionIds: [idle] })

    expect(several.body.value.map((row: { SessionIds: string }) => row.SessionIds)).toEqual([
      good,
      bad,
    ])
    expect([none.status, none.body.value]).toEqual([200, []])
    expect([never.status, never.body.value]).toEqual([200, []])
  })

  test('$top and $skip count the sessions of a definition, of which 4,096 come at most', async () => {
    const { simulator, history } = await startScanCaller({
      faults: { scanHistoryShape: 'session-sample' },
    })
    for (let place = 0; place < 4100; place++) {
      const lastScanned = new Date(
        Date.parse('2026-01-01T00:00:00Z') + place * 60_000,
      ).toISOString()
      simulator.scans.sessions.put({ id: `s${place}`, definitionId: 'many', lastScanned })
    }
    const page = async (query: string) => {
      const { body } = await history('ScanDefinition', { ScanDefinitionIds: ['many'] }, query)
      return body.value.map((row: { SessionIds: string }) => row.SessionIds)
    }

    const [some, usual] = [await page('?$top=2&$skip=1'), await page('')]
    const tooMany = await history('ScanDefinition', { ScanDefinitionIds: ['many'] }, '?$top=4097')

    expect(some).toEqual(['s4098', 's4097'])
    expect(usual).toHaveLength(4096)
    expect(await page('?$top=4096&$skip=4096')).toEqual(['s3', 's2', 's1', 's0'])
    expect([tooMany.status, tooMany.body.error.code]).toEqual([400, 'ODataError'])
    expect((await history('Session', { SessionIds: [good] }, '?$top=1')).status).toBe(400)
  })

  test('a test can change a session to unknown words', async () => {
    const { simulator, history } = await startScanCaller()
    simulator.scans.sessions.put({ id: 'a', status: 'InProgress', targets: [] })
    const before = await history('Session', { SessionIds: ['a'] })
    simulator.scans.sessions.change('a', { status: 'Success', targets: [{ ip: '192.0.2.1' }] })

    const after = await history('Session', { SessionIds: ['a'] })

    expect(before.body.value[0]).toMatchObject({
      ScanStatus: 'In Progress',
      NumberOfTargets: 0,
      ListScannedTargets: [],
    })
    expect(after.body.value[0]).toMatchObject({ ScanStatus: 'Success', NumberOfTargets: 1 })
    simulator.scans.sessions.remove('a')
    expect((await history('Session', { SessionIds: ['a'] })).body.value).toEqual([])
    expect(() => simulator.scans.sessions.change('a', {})).toThrow('There is no scan a.')
  })

  test.each([
    ['another casing', { sessionIds: [good] }],
    ['a text in place of a list', { SessionIds: good }],
    ['numbers', { SessionIds: [1] }],
    ['nothing', null],
  ])('a body with %s is refused', async (_, sent) => {
    const { history } = await startScanCaller()

    const { status, body } = await history('Session', sent)

    expect([status, body.error.code]).toEqual([400, 'InvalidRequestBody'])
  })
})

test('definitions contain their credentials, which the product must not pass on', async () => {
  const { simulator, definitions } = await startScanCaller()

  const { body } = await definitions()

  expect(body['@odata.context']).toMatch(/\/api\/\$metadata#DeviceAuthenticatedScanDefinitions$/)
  expect(body.value.map((one: { id: string }) => one.id)).toEqual([...sampleDefinitions])
  const secrets = Object.values<string>(body.value[0].scanAuthenticationParams)
  expect(secrets.some((secret) => simulator.issuedSecrets.has(secret))).toBe(true)
  expect(body.value[1]).toMatchObject({
    scanType: 'Windows',
    targetType: 'Hostname',
    intervalInHours: 4,
    isActive: true,
    latestScan: { status: 'Fail', failureReason: 'The scanner could not sign in.' },
    scannerAgent: { machineName: 'scanner.contoso.example' },
  })
  expect(body.value[2].latestScan).toBeNull()
})

describe('authorization', () => {
  test.each([
    ['Machine.Read.All', 200],
    ['Machine.ReadWrite.All', 403],
    ['Alert.Read.All', 403],
  ])('for %s answers %s', async (role, expected) => {
    const { history, definitions } = await startScanCaller({ token: { roles: [role] } })

    const answers = [
      await definitions(),
      await history('Session', { SessionIds: [good] }),
      await history('ScanDefinition', { ScanDefinitionIds: [network] }),
    ]

    for (const { status, body } of answers) {
      expect(status).toBe(expected)
      if (status === 403) expect(body.error.message).toContain('(Machine.Read.All)')
    }
  })

  test('refuses a call without a token', async () => {
    const { simulator } = await startScanCaller()
    const url = `${simulator.origin}/defender/api/DeviceAuthenticatedScanDefinitions/GetScanHistoryBySessionId`

    const { status } = await fetch(url, { method: 'POST', body: '{}' })

    expect(status).toBe(401)
  })

  test('allows 100 calls a minute for its three routes together, 1,500 an hour', async () => {
    const { simulator, clock, history, definitions } = await startScanCaller({
      token: { lifetimeSeconds: 90_000 },
    })
    const hundred = () =>
      Promise.all(
        Array.from({ length: 100 }, (_, place) =>
          place % 2 === 0
            ? definitions()
            : history('ScanDefinition', { ScanDefinitionIds: [idle] }),
        ),
      )
    await hundred()

    const inMinute = await history('Session', { SessionIds: [good] })
    for (let minute = 1; minute < 15; minute++) {
      clock.advance(60_000)
      await hundred()
    }
    clock.advance(60_000)
    const inHour = await definitions()

    expect([inMinute.status, inMinute.headers.get('retry-after')]).toEqual([429, '60'])
    expect(inMinute.body.error).toMatchObject({
      code: '429',
      message: expect.stringContaining('100 per 00:01:00'),
    })
    expect([inHour.status, inHour.headers.get('retry-after')]).toEqual([429, '2700'])
    expect(simulator.scans.calls).toMatchObject({
      'by-session': 1,
      'by-definition': 750,
      definitions: 751,
    })
  })

  test.each([
    ['scanHistoryStatus', [429, 429, 200]],
    ['scanDefinitionsStatus', [200, 200, 429]],
  ] as const)('%s is answered by its routes alone', async (fault, expected) => {
    const { history, definitions } = await startScanCaller({
      faults: { [fault]: { answer: 429, calls: 2 } },
    })

    const answers = [
      await history('Session', { SessionIds: [good] }),
      await history('ScanDefinition', { ScanDefinitionIds: [idle] }),
      await definitions(),
    ]

    expect(answers.map(({ status }) => status)).toEqual(expected)
  })
})
