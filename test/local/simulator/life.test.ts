import { describe, expect, test } from 'vitest'
import { createFleet } from '../../../local/simulator/fleet.ts'
import {
  endedInvestigationStates,
  investigation,
  openInvestigationStates,
} from '../../../local/simulator/items/investigation.ts'
import type { LifeOptions } from '../../../local/simulator/items/item.ts'
import { createItemStore } from '../../../local/simulator/items/item-store.ts'
import { createLife, usualLife } from '../../../local/simulator/items/life.ts'
import {
  actionStatuses,
  machineAction,
  rareActionTypes,
  requestSources,
  usualActionTypes,
} from '../../../local/simulator/items/machine-action.ts'
import { completeOptions } from '../../../local/simulator/layout.ts'
import { startItemCaller } from './item-caller.ts'
import { createStillClock } from './still-clock.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const fleet = completeOptions({ size: 300, seed: 3 })

function startLife(options: Partial<LifeOptions> = {}, clock = createStillClock()) {
  const life = createLife({ ...usualLife(clock, fleet), ...options })
  return {
    clock,
    actions: createItemStore(machineAction, clock, life.actions),
    investigations: createItemStore(investigation, clock, life.investigations),
  }
}
const sorted = (values: Iterable<unknown>) => [...new Set(values)].sort()

describe('simulated machine actions', () => {
  test('are in every status, of every type and from every source', () => {
    const { actions } = startLife({ perHour: 60 })

    const all = actions.all()

    expect(sorted(all.map(({ status }) => status))).toEqual([...actionStatuses].sort())
    expect(sorted(all.map(({ type }) => type))).toEqual(
      [...usualActionTypes, ...rareActionTypes].sort(),
    )
    expect(sorted(all.map(({ requestSource }) => requestSource))).toEqual(
      [...requestSources].sort(),
    )
  })

  test('are about devices of the fleet', () => {
    const { actions } = startLife()
    const names = new Map(
      [...createFleet(fleet).truth()].map((device) => [device.machineId, device.computerDnsName]),
    )

    for (const { machineId, computerDnsName } of actions.all()) {
      expect(names.has(String(machineId))).toBe(true)
      expect(names.get(String(machineId)) ?? null).toBe(computerDnsName)
    }
  })

  test('time out 72 hours and 14 minutes after their creation, and never earlier', () => {
    const { actions } = startLife()

    const late = actions.history().filter(({ to }) => to === 'TimeOut')

    expect(late.length).toBeGreaterThan(20)
    for (const { id, at } of late) {
      const born = actions.history(id)[0]?.at.getTime() ?? 0
      const minutes = (at.getTime() - born) / minuteMs
      expect(Math.floor(minutes)).toBe(72 * 60 + 14)
      expect(actions.get(id)?.errorHResult).toBe(-2145844840)
    }
  })

  test('have times with up to seven fraction digits, trailing zeros trimmed, some without digits', () => {
    const { actions } = startLife({ perHour: 200 })

    const fractions = actions.all().map(({ creationDateTimeUtc }) => {
      const [, fraction = ''] =
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,7}))?Z$/.exec(String(creationDateTimeUtc)) ?? []
      return fraction
    })

    expect(sorted(fractions.map(({ length }) => length))).toEqual(
      expect.arrayContaining([0, 5, 6, 7]),
    )
    expect(fractions.filter((fraction) => fraction.endsWith('0'))).toEqual([])
  })

  test('are sometimes requested for three devices at once, with the same times', () => {
    const { actions } = startLife()
    const batches = Object.values(
      Object.groupBy(actions.all(), (item) => String(item.creationDateTimeUtc)),
    )

    const ties = batches.filter((batch) => batch && batch.length > 1)

    expect(ties.length).toBeGreaterThan(100)
    for (const batch of ties) {
      expect(sorted(batch?.map((item) => item.lastUpdateDateTimeUtc) ?? [])).toHaveLength(1)
      expect(sorted(batch?.map((item) => item.requestSource) ?? [])).toEqual(['BulkAction'])
      expect(sorted(batch?.map(({ id }) => id) ?? [])).toHaveLength(batch?.length ?? 0)
    }
  })

  test('have the details of their type', () => {
    const all = startLife({ perHour: 60 }).actions.all()
    const of = (type: string) => all.filter((item) => item.type === type)

    expect(sorted(of('Isolate').map(({ scope }) => scope))).toEqual(['Full', 'Selective'])
    expect(sorted(of('RunAntiVirusScan').map(({ scope }) => scope))).toEqual(['Full', 'Quick'])
    expect(
      sorted(of('Offboard').map(({ scope, relatedFileInfo }) => scope ?? relatedFileInfo)),
    ).toEqual([null])
    expect(of('StopAndQuarantineFile')[0]?.relatedFileInfo).toMatchObject({
      fileIdentifier: expect.stringMatching(/^[\da-f]{32,64}$/),
    })
    expect(of('Troubleshoot')[0]?.troubleshootInfo).toMatchObject({
      paramsJsonFormatVersion: '1.0',
    })
    const commandsOf = (status: string) =>
      of('LiveResponse').flatMap((item) =>
        item.status === status ? (item.commands as Record<string, unknown>[]) : [],
      )
    expect(commandsOf('Succeeded')[0]).toMatchObject({
      index: 0,
      commandStatus: 'Completed',
      errors: [],
      startTime: expect.stringMatching(/Z$/),
    })
    expect(
      sorted(
        commandsOf('Pending').map(({ startTime, commandStatus }) => startTime ?? commandStatus),
      ),
    ).toEqual(['Created'])
    expect(sorted(commandsOf('TimeOut').map(({ commandStatus }) => commandStatus))).toEqual([
      'Failed',
    ])
  })
})

describe('simulated investigations', () => {
  test('are in each of the nineteen states, some of them without start or end', () => {
    const { investigations } = startLife({ investigationsPerHour: 40 })

    const states = investigations.history().flatMap(({ to }) => to ?? [])

    expect(sorted(states)).toEqual([...openInvestigationStates, ...endedInvestigationStates].sort())
    const all = investigations.all()
    const waiting = all.filter(({ state }) => state === 'PendingApproval')
    expect(waiting.length).toBeGreaterThan(0)
    expect(sorted(waiting.map(({ endTime }) => endTime))).toEqual([null])
    expect(all.some(({ startTime }) => startTime === null)).toBe(true)
    expect(all.some(({ state, endTime }) => state === 'Failed' && endTime === null)).toBe(true)
  })

  test('enter a state twice, wait for days, and are reopened after their end', () => {
    const { investigations } = startLife({ investigationsPerHour: 20 })
    const histories = investigations.all().map(({ id }) => investigations.history(id))

    const twice = histories.filter((steps) => steps.filter(({ to }) => to === 'Running').length > 1)
    const reopened = histories.filter((steps) =>
      steps.some(({ from, to }) => from === 'PartiallyInvestigated' && to),
    )
    const longest = histories.flatMap((steps) =>
      steps.flatMap(({ from, at }, place) =>
        from === 'PendingApproval' ? [at.getTime() - (steps[place - 1]?.at.getTime() ?? 0)] : [],
      ),
    )

    expect(twice.length).toBeGreaterThan(0)
    expect(reopened.length).toBeGreaterThan(0)
    expect(Math.max(...longest)).toBe(7 * 24 * hourMs)
  })
})

test('the same options give the same items, also with a later start', () => {
  const first = startLife()
  const again = startLife()
  const later = createStillClock()
  later.advance(3 * hourMs)
  const restarted = startLife({}, later)
  first.clock.advance(3 * hourMs)
  again.clock.advance(hourMs)
  again.actions.all()
  again.clock.advance(2 * hourMs)

  const steps = first.actions.history()

  expect(again.actions.history()).toEqual(steps)
  const known = new Set(restarted.actions.all().map(({ id }) => id))
  expect(restarted.actions.history()).toEqual(steps.filter(({ id }) => known.has(id)))
  expect(known.size).toBeGreaterThan(4000)
  expect(startLife({ seed: 2 }).actions.history()).not.toEqual(startLife().actions.history())
})

test('the lists show exactly the transitions of the recorded history', async () => {
  const { simulator, clock, page, ask } = await startItemCaller({
    life: { perHour: 240, startsAt: '2026-11-20T06:55:00Z', lateSeconds: 0, unknownStates: true },
  })
  const startedAt = clock.now()
  const seen: string[] = []
  const last = new Map<string, Record<string, unknown>>()
  const $filter = 'creationDateTimeUtc ge 2026-11-20T06:55:00Z'

  // No status lasts less than two seconds.
  for (let second = 0; second < 500; second++) {
    for (const row of (await page('machineactions', { $filter, $top: '10000' })).value) {
      const { status } = last.get(row.id) ?? { status: 'nothing' }
      if (status !== row.status) seen.push(`${row.id} ${status} → ${row.status}`)
      last.set(row.id, row)
    }
    clock.advance(1000)
  }

  const until = clock.now().getTime() - 1000
  const steps = simulator.actions
    .history()
    .filter(({ at }) => at > startedAt && at.getTime() <= until)
  const truth = steps.map(({ id, from, to }) => `${id} ${from ?? 'nothing'} → ${to}`)
  expect(truth.length).toBeGreaterThan(50)
  expect(seen.filter((step) => truth.includes(step)).sort()).toEqual(truth.sort())
  // Items from before the first poll are in its answer.
  expect(seen.filter((step) => !truth.includes(step) && !step.includes('nothing →'))).toEqual([])
  expect(seen.join()).toContain('AwaitingDevice')
  for (const [id, row] of [...last].slice(0, 20)) {
    expect(await (await ask(`machineactions/${id}`)).json()).toMatchObject(row)
  }
})

test('an item is purged when its retention is over', () => {
  const { actions, clock } = startLife({ retentionDays: 5 })
  const [oldest] = actions.all()

  clock.advance(24 * hourMs)

  expect(actions.get(oldest?.id ?? '')).toBeUndefined()
  expect(actions.history(oldest?.id).at(-1)).toMatchObject({ to: null })
})

test('a test can change a simulated item: its future steps are cancelled', () => {
  const { actions, clock } = startLife()
  const pending = actions.all().find(({ status }) => status === 'Pending')?.id ?? ''

  actions.change(pending, { status: 'Cancelled' })
  clock.advance(200 * hourMs)

  expect(actions.get(pending)?.status).toBe('Cancelled')
  expect(actions.history(pending).map(({ to }) => to)).toEqual(['Pending', 'Cancelled'])
})
