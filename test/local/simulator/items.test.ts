import { describe, expect, test } from 'vitest'
import { giveUp } from '../../limits.ts'
import { encodeQuery, startItemCaller } from './item-caller.ts'

const minuteMs = 60_000
const allTop = { $top: '10000' }

describe('items that a test adds', () => {
  test('an action is added, changed and purged, and its history has each step once', async () => {
    const { simulator, clock, ask } = await startItemCaller()
    const { actions } = simulator
    const startedAt = clock.now().getTime()

    actions.put({ id: 'a', type: 'Isolate', scope: 'Selective' })
    clock.advance(minuteMs)
    actions.change('a', { status: 'InProgress' })
    clock.advance(minuteMs)
    actions.change('a', { requestorComment: 'still at it' })
    clock.advance(minuteMs)
    actions.change('a', { status: 'Succeeded' })
    const before = await ask('machineactions/a')
    clock.advance(minuteMs)
    actions.remove('a')
    const after = await ask('machineactions/a')

    expect(await before.json()).toMatchObject({
      id: 'a',
      status: 'Succeeded',
      type: 'Isolate',
      scope: 'Selective',
    })
    expect(after.status).toBe(404)
    expect(await after.json()).toMatchObject({ error: { code: 'ResourceNotFound' } })
    const steps = actions
      .history('a')
      .map(({ at, from, to }) => [(at.getTime() - startedAt) / minuteMs, from, to] as const)
    expect(steps).toEqual([
      [0, null, 'Pending'],
      [1, 'Pending', 'InProgress'],
      [3, 'InProgress', 'Succeeded'],
      [4, 'Succeeded', null],
    ])
    expect(() => actions.change('a', {})).toThrow('There is no item a.')
  })

  test('an action has every field of the wire format, nulls included', async () => {
    const { simulator, page } = await startItemCaller()
    simulator.actions.put({ id: 'a' })

    const { value, '@odata.context': context } = await page('machineactions')

    expect(context).toMatch(/\/api\/\$metadata#MachineActions$/)
    expect(Object.keys(value[0] ?? {})).toEqual([
      'id',
      'type',
      'title',
      'requestor',
      'requestorComment',
      'status',
      'machineId',
      'computerDnsName',
      'creationDateTimeUtc',
      'lastUpdateDateTimeUtc',
      'cancellationRequestor',
      'cancellationComment',
      'cancellationDateTimeUtc',
      'errorHResult',
      'scope',
      'relatedFileInfo',
      'commands',
      'troubleshootInfo',
      'externalId',
      'requestSource',
    ])
    expect(value[0]).toMatchObject({ title: null, scope: null, commands: [], errorHResult: 0 })
  })

  test('the last update of a cancelled action is one tick after its cancellation', async () => {
    const { simulator, clock } = await startItemCaller()
    simulator.actions.put({ id: 'a' })
    clock.advance(1)

    const { cancellationDateTimeUtc, lastUpdateDateTimeUtc, errorHResult } =
      simulator.actions.change('a', {
        status: 'Cancelled',
      })

    const ticks = (time: unknown) => Number(String(time).slice(20, -1).padEnd(7, '0'))
    expect(ticks(lastUpdateDateTimeUtc) - ticks(cancellationDateTimeUtc)).toBe(1)
    expect(errorHResult).toBe(-2147467260)
  })

  test('an investigation is found by its id and by the alert that triggered it', async () => {
    const { simulator, clock, ask } = await startItemCaller()
    const { investigations } = simulator
    investigations.put({ id: '63017', state: 'Queued', triggeringAlertId: 'da6371_-598' })
    const queued = investigations.get('63017')
    clock.advance(minuteMs)
    investigations.change('63017', { state: 'Running' })
    clock.advance(minuteMs)
    investigations.change('63017', { state: 'Benign' })

    const [byId, byAlert] = await Promise.all([
      ask('investigations/63017'),
      ask('investigations/da6371_-598'),
    ])

    const found = await byId.json()
    expect(queued).toMatchObject({ startTime: null, endTime: null })
    expect(found).toMatchObject({
      '@odata.context': expect.stringMatching(/\$metadata#Investigations\/\$entity$/),
      startTime: '2026-11-20T07:01:00Z',
      endTime: '2026-11-20T07:02:00Z',
      state: 'Benign',
    })
    expect(await byAlert.json()).toEqual(found)
    expect((await ask('investigations/da6371')).status).toBe(404)
  })
})

describe('faults', () => {
  test('a row appears in lists late, but immediately by its id', async () => {
    const { simulator, clock, ask, ids } = await startItemCaller()
    simulator.actions.put({ id: 'late' }, { lateSeconds: 90 })
    simulator.actions.put({ id: 'usual' })
    const listed = () => ids('machineactions', "status eq 'Pending'")

    const seen = [await listed()]
    clock.advance(89_999)
    seen.push(await listed())
    clock.advance(1)
    seen.push(await listed())
    simulator.setFaults({ lateSeconds: 120 })
    seen.push(await listed())

    expect(seen).toEqual([['usual'], ['usual'], ['late', 'usual'], []])
    expect((await ask('machineactions/late')).status).toBe(200)
  })

  test('an older version of one row is shown for a while', async () => {
    const { simulator, clock, ask, ids } = await startItemCaller()
    simulator.actions.put({ id: 'a' })
    clock.advance(minuteMs)
    simulator.actions.change('a', { status: 'InProgress' })
    clock.advance(minuteMs)
    simulator.actions.change('a', { status: 'Succeeded' })

    simulator.actions.showOlder('a', 30)
    const stale = await ids('machineactions', "status eq 'InProgress'")
    const staleOne = (await (await ask('machineactions/a')).json()) as Record<string, unknown>
    clock.advance(30_000)

    expect(stale).toEqual(['a'])
    expect(staleOne.status).toBe('InProgress')
    expect(await ids('machineactions', "status eq 'Succeeded'")).toEqual(['a'])
  })

  test('one of several calls is answered by a replica that is behind', async () => {
    const { simulator, clock, ask } = await startItemCaller({
      faults: { staleReplica: { everyCalls: 2, lagSeconds: 60 } },
    })
    simulator.actions.put({ id: 'a' })
    clock.advance(2 * minuteMs)
    simulator.actions.change('a', { status: 'Failed' })

    const statuses = []
    for (let call = 0; call < 4; call++) {
      statuses.push(
        ((await (await ask('machineactions/a')).json()) as Record<string, unknown>).status,
      )
    }

    expect(statuses).toEqual(['Failed', 'Pending', 'Failed', 'Pending'])
  })

  test('an unknown state is passed through', async () => {
    const { simulator, page } = await startItemCaller()
    simulator.actions.put({ id: 'a', status: 'AwaitingDevice' })
    simulator.investigations.put({ id: '1', state: 'Running, PendingApproval' })

    expect((await page('machineactions', allTop)).value[0]?.status).toBe('AwaitingDevice')
    expect((await page('investigations', allTop)).value[0]?.state).toBe('Running, PendingApproval')
  })

  test('the field with the last update can have the name in the sample of the list’s page', async () => {
    const { simulator, ask, page } = await startItemCaller({
      faults: { updateTimeName: 'lastUpdateTimeUtc' },
    })
    simulator.actions.put({ id: 'a', lastUpdateDateTimeUtc: '2026-11-20T06:59:00.1234567Z' })

    const rows = [
      (await page('machineactions')).value[0],
      await (await ask('machineactions/a')).json(),
    ]

    for (const row of rows) {
      expect(row).toHaveProperty('lastUpdateTimeUtc', '2026-11-20T06:59:00.1234567Z')
      expect(row).not.toHaveProperty('lastUpdateDateTimeUtc')
    }
  })

  test('an existing item is answered 404 a number of times', async () => {
    const { simulator, ask } = await startItemCaller({ faults: { missedItems: 2 } })
    simulator.actions.put({ id: 'a' })

    const statuses = []
    for (const id of ['a', 'none', 'a', 'a'])
      statuses.push((await ask(`machineactions/${id}`)).status)

    expect(statuses).toEqual([404, 404, 404, 200])
  })

  test.each([
    ['machineActionsStatus', 'machineactions', 'machineactions/a'],
    ['machineActionStatus', 'machineactions/a', 'machineactions'],
    ['investigationsStatus', 'investigations', 'investigations/a'],
    ['investigationStatus', 'investigations/a', 'investigations'],
  ] as const)(
    '%s is answered by %s alone, so many times, after so many others',
    async (fault, forced, other) => {
      const { simulator, ask } = await startItemCaller({
        faults: { [fault]: { answer: 500, calls: 2, passFirst: 1 } },
      })
      simulator.actions.put({ id: 'a' })
      simulator.investigations.put({ id: 'a' })

      const statuses = []
      for (let call = 0; call < 4; call++)
        statuses.push((await ask(forced)).status, (await ask(other)).status)

      expect(statuses).toEqual([200, 200, 500, 200, 500, 200, 200, 200])
    },
  )

  test.each([400, 401, 403, 404, 410, 429, 500, 503] as const)(
    'a list can be made to answer %s',
    async (answer) => {
      const { ask } = await startItemCaller({
        faults: { machineActionsStatus: { answer, calls: 1 } },
      })

      expect((await ask('machineactions')).status).toBe(answer)
    },
  )

  test('a list can be a page of HTML, broken JSON, cut off, reset or never answered', async () => {
    const { simulator, ask, token } = await startItemCaller()
    const authorization = `Bearer ${await token()}`
    const broken = async (
      answer: 'html' | 'html-200' | 'broken-json' | 'truncated' | 'reset' | 'timeout',
    ) => {
      simulator.setFaults({ machineActionsStatus: { answer, calls: 1 } })
      const url = `${simulator.origin}/defender/api/machineactions`
      const isSilent = () =>
        answer === 'timeout' && simulator.faults.machineActionsStatus?.calls === 0
      const response = await giveUp(isSilent, (signal) =>
        fetch(url, { headers: { authorization }, signal }),
      )
      return {
        status: response.status,
        type: response.headers.get('content-type'),
        text: await response.text(),
      }
    }

    expect(await broken('html')).toMatchObject({ status: 502, type: 'text/html' })
    expect(await broken('html-200')).toMatchObject({ status: 200, type: 'text/html' })
    const half = await broken('broken-json')
    expect(half).toMatchObject({ status: 200, type: expect.stringMatching(/json/) })
    expect(() => JSON.parse(half.text)).toThrow()
    await expect(broken('truncated')).rejects.toThrow('terminated')
    await expect(broken('reset')).rejects.toThrow('fetch failed')
    await expect(broken('timeout')).rejects.toThrow('given up')
    expect((await ask('machineactions')).status).toBe(200)
  })
})

describe('authorization', () => {
  test('allows 100 calls a minute for lists and items together, and answers the seconds to wait', async () => {
    const { simulator, clock, ask } = await startItemCaller({ token: { tenantId: 'a-tenant' } })
    simulator.actions.put({ id: 'a' })
    for (let call = 0; call < 50; call++) {
      expect((await ask('machineactions?$top=1')).status).toBe(200)
      expect((await ask('machineactions/a')).status).toBe(200)
    }
    clock.advance(20_000)

    const refused = await ask('machineactions/a')

    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('40')
    expect(await refused.json()).toEqual({
      error: {
        code: '429',
        message:
          'API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key Destination+TenantID+AppID. You can send requests again in 40 seconds.',
        target: 'a-tenant',
      },
    })
    expect((await ask('investigations')).status).toBe(200)
    clock.advance(40_000)
    expect((await ask('machineactions')).status).toBe(200)
  })

  test('allows 1,500 calls an hour', async () => {
    const { clock, ask } = await startItemCaller({ token: { lifetimeSeconds: 90_000 } })
    for (let minute = 0; minute < 15; minute++) {
      await Promise.all(Array.from({ length: 100 }, () => ask('investigations')))
      clock.advance(minuteMs)
    }

    const refused = await ask('investigations')

    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('2700')
    expect(await refused.text()).toContain('Maximum allowed 1500 per 01:00:00')
  })

  test.each([
    ['machineactions', 'Machine.Read.All', 'Machine.ReadWrite.All', 'Alert.Read.All'],
    ['investigations', 'Alert.Read.All', 'Alert.ReadWrite.All', 'Machine.Read.All'],
  ])('opens %s for %s or %s', async (list, read, write, other) => {
    const statusFor = async (role: string) => {
      const { ask } = await startItemCaller({ token: { roles: [role] } })
      return ask(`${list}?${encodeQuery({ $top: '1' })}`)
    }

    const [reader, writer, stranger] = await Promise.all([
      statusFor(read),
      statusFor(write),
      statusFor(other),
    ])

    expect([reader.status, writer.status, stranger.status]).toEqual([200, 200, 403])
    expect(await stranger.json()).toMatchObject({
      error: {
        code: 'Forbidden',
        message: `The application does not have any of the required application permissions (${read}, ${write}) to access the resource.`,
      },
    })
  })
})
