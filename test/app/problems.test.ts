import { expect, test } from 'vitest'
import type { Facts } from '../../shared/app/facts.ts'
import { type ProblemCode, problemCodes } from '../../shared/app/problem-codes.ts'
import { findProblems } from '../../shared/app/problems.ts'
import { ConfigError } from '../../shared/platform/errors.ts'
import type { UpstreamReport } from '../../shared/platform/upstream-health.ts'

const now = new Date('2026-11-30T12:00:00.000Z')
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString()
const loaded = <T>(value: T) => ({ value, missing: null, failure: null })

const healthy: UpstreamReport = { state: 'ok', lastOkAt: ago(1), lastError: null }
const fails = (
  state: UpstreamReport['state'],
  facts: Partial<NonNullable<UpstreamReport['lastError']>> = {},
): UpstreamReport => ({
  state,
  lastOkAt: null,
  lastError: {
    at: ago(1),
    since: ago(30),
    status: null,
    title: 'GET /x: …',
    missing: [],
    ...facts,
  },
})
const left = { minuteLeft: 100, hourLeft: 100, stoppedUntil: null }
const familyNames = [
  'machine-actions',
  'investigations',
  'export',
  'deviceavinfo',
  'authenticated-scans',
]

const poll = {
  startedAt: ago(1),
  endedAt: ago(1),
  listed: 0,
  rechecked: 0,
  events: 0,
  unreadable: 0,
  outside: 0,
  badTimes: 0,
  missing: 0,
  error: null as string | null,
}
const polls = {
  baselineDone: true,
  lastPoll: poll as typeof poll | null,
  lastFailure: null,
  lastGoodPollAt: ago(1) as string | null,
  gap: null as { since: string; until: string } | null,
  nextPollAt: ago(-1),
  openItems: 9,
  oldestOpen: null,
  unknownStates: {} as Record<string, number>,
  detectionLagSeconds: null,
}
const run = {
  runId: 'r1',
  state: 'published',
  reason: null as string | null,
  startedAt: ago(60),
  progressAt: ago(59),
  endedAt: ago(59) as string | null,
  waiting: null as { for: string; until: string } | null,
  unreadable: {} as Record<string, number>,
  guard: null as string | null,
  devicesBefore: null,
  devices: 10,
  rejected: 0,
}

/** Facts without any problem; a test changes what it is about. */
function makeFacts() {
  return {
    now,
    installed: loaded(ago(60 * 24 * 90)),
    defender: loaded({
      report: healthy,
      ending: undefined as { call: string; endsAt: string | null } | undefined,
      families: Object.fromEntries(familyNames.map((name) => [name, { ...healthy, ...left }])),
    }),
    tenable: loaded({
      report: healthy,
      ending: undefined,
      families: { scans: { ...healthy, ...left } },
    }),
    scanHistory: loaded({}),
    changes: loaded({
      reports: { 'machine-actions': { ...polls }, investigations: { ...polls } },
      scheduleFor: (_name: string): string => '0 * * * * *',
    }),
    events: loaded({
      streams: { investigations: { head: 0, oldest: 1, dispatched: 0, lagSeconds: 0 } },
      deliveries: {
        ...{ pending: 0, dead: 0, oldestPendingAt: null, unreadable: 0 },
        failing: [] as { id: string; callbackHost: string; since: string; reason: string }[],
        disabled: [] as { id: string; callbackHost: string; since: string; reason: string }[],
        waiting: [] as { id: string; callbackHost: string; since: string }[],
        paused: [] as { id: string; callbackHost: string; since: string; until: string }[],
      },
    }),
    secrets: loaded([] as { id: string; callbackHost: string }[]),
    avHealth: loaded({
      report: {
        current: { runId: 'r1', generatedTime: ago(60), devices: 10, ageSeconds: 3600 },
        lastRun: { ...run },
        skippedRows: [] as string[],
        nextRunAt: ago(-60),
      },
      schedule: '0 15 */12 * * *',
    }),
    tickets: loaded({}),
  }
}

type Made = ReturnType<typeof makeFacts>
const tenableKeys = { TENABLE_ACCESS_KEY: 'a', TENABLE_SECRET_KEY: 's' }

function find(change: (facts: Made) => void, env: Record<string, string> = tenableKeys) {
  const facts = makeFacts()
  change(facts)
  return findProblems(facts as unknown as Facts, { env, isTenableOff: false })
}

const actions = ({ changes }: Made) => changes.value.reports['machine-actions']
const setFamily = ({ defender }: Made, report: UpstreamReport, ...names: string[]) => {
  for (const name of names) defender.value.families[name] = { ...report, ...left }
}
const lose = (part: object, lost: { missing?: ConfigError; failure?: object }) =>
  Object.assign(part, { value: null, missing: null, failure: null }, lost)
const silent = { code: 'storage-unreachable', reason: 'no answer within 8 s' }
const receiver = { id: 's1', callbackHost: 'hooks.contoso.example', reason: '500 refused' }

/** One cause of each code. */
const causes: Record<ProblemCode, (facts: Made) => void> = {
  'setting-wrong': (facts) =>
    lose(facts.changes, {
      missing: new ConfigError('changes', [{ setting: 'OVERDUE_HOURS', problem: 'is wrong' }]),
    }),
  'storage-unreachable': (facts) => {
    const { defender, changes, events, secrets, avHealth, tickets } = facts
    for (const part of [defender, changes, events, secrets, avHealth, tickets])
      lose(part, { failure: silent })
  },
  'no-identity': (facts) =>
    setFamily(facts, fails('no-identity', { missing: ['AZURE_CLIENT_ID'] }), ...familyNames),
  forbidden: (facts) =>
    setFamily(facts, fails('forbidden', { status: 403, missing: ['A.Read.All'] }), 'export'),
  unreachable: (facts) => setFamily(facts, fails('unreachable'), ...familyNames),
  incompatible: (facts) =>
    setFamily(facts, fails('incompatible', { status: 400 }), 'machine-actions'),
  'route-gone': (facts) =>
    setFamily(facts, fails('gone', { status: 404, since: ago(180) }), 'authenticated-scans'),
  'route-not-found': (facts) =>
    setFamily(facts, fails('gone', { status: 404, since: ago(60) }), 'authenticated-scans'),
  'route-ending': (facts) =>
    Object.assign(facts.defender.value, { ending: { call: 'GET /x', endsAt: null } }),
  throttled: ({ defender }) =>
    Object.assign(defender.value.families.export ?? {}, { stoppedUntil: ago(-5) }),
  'polls-stopped': (facts) => {
    Object.assign(actions(facts), {
      lastGoodPollAt: ago(20),
      lastPoll: { ...poll, startedAt: ago(20) },
    })
  },
  'poll-failed': (facts) =>
    Object.assign(actions(facts), { lastPoll: { ...poll, error: 'not JSON' } }),
  'poll-gap': (facts) => Object.assign(actions(facts), { gap: { since: ago(90), until: ago(60) } }),
  'not-polled-yet': (facts) => {
    Object.assign(facts, { installed: loaded(ago(1)) })
    Object.assign(actions(facts), { lastPoll: null, lastGoodPollAt: null })
  },
  'items-missing': (facts) => Object.assign(actions(facts), { lastPoll: { ...poll, missing: 9 } }),
  'unknown-states': (facts) => Object.assign(actions(facts), { unknownStates: { Odd: 1 } }),
  'rows-rejected': (facts) => Object.assign(facts.avHealth.value.report.lastRun, { rejected: 3 }),
  'rows-unreadable': (facts) => facts.avHealth.value.report.skippedRows.push('run|x'),
  'runs-stopped': ({ avHealth }) => {
    Object.assign(avHealth.value.report.lastRun, { startedAt: ago(60 * 24) })
  },
  'run-failed': (facts) =>
    Object.assign(facts.avHealth.value.report.lastRun, {
      state: 'failed',
      reason: 'a damaged file',
    }),
  'run-waiting': (facts) =>
    Object.assign(facts.avHealth.value.report.lastRun, {
      state: 'importing',
      progressAt: ago(10),
      waiting: { for: 'calls', until: ago(-5) },
    }),
  'snapshot-old': (facts) =>
    Object.assign(facts.avHealth.value.report.current, { generatedTime: ago(40 * 60) }),
  'parquet-missing': ({ avHealth }) =>
    Object.assign(avHealth.value, {
      unwritten: { runId: 'r1', since: ago(90), reason: 'status 403', shown: 'r0' },
    }),
  'changes-unknown': (facts) =>
    Object.assign(facts.avHealth.value.report.current, {
      changes: 'unknown',
      changesReason: '1 of 2 slices could not be compared',
    }),
  'fields-unreadable': (facts) =>
    Object.assign(facts.avHealth.value.report.lastRun, { unreadable: { avMode: 2 } }),
  'export-by-pages': (facts) =>
    setFamily(facts, fails('forbidden', { status: 403, missing: ['A.Read.All'] }), 'export'),
  'deliveries-late': ({ events }) =>
    events.value.deliveries.waiting.push({ ...receiver, since: ago(11) }),
  'dead-letters': ({ events }) => Object.assign(events.value.deliveries, { dead: 1 }),
  // It fails for this reason: not another problem.
  'secret-missing': ({ secrets, events }) => {
    secrets.value.push(receiver)
    const reason = 'secret-missing'
    events.value.deliveries.failing.push({ ...receiver, since: ago(6), reason })
  },
  'subscription-failing': ({ events }) =>
    events.value.deliveries.failing.push({ ...receiver, since: ago(6) }),
  'subscription-disabled': ({ events }) =>
    events.value.deliveries.disabled.push({ ...receiver, since: ago(1) }),
  'subscription-retrying': ({ events }) =>
    events.value.deliveries.failing.push({ ...receiver, since: ago(4) }),
  'subscription-paused': ({ events }) =>
    events.value.deliveries.paused.push({ ...receiver, since: ago(4), until: ago(-60) }),
}

test('without a cause there is no problem', () => {
  expect(find(() => {})).toEqual([])
})

test('one dead letter is one, and two are two', () => {
  const titleOf = (dead: number) =>
    find(({ events }) => Object.assign(events.value.deliveries, { dead }))[0]?.title

  expect(titleOf(1)).toBe('1 delivery is a dead letter')
  expect(titleOf(2)).toBe('2 deliveries are dead letters')
})

test.each(Object.entries(causes))('its own cause makes one problem: %s', (code, cause) => {
  // The export needs its files only where no other way is allowed.
  const env = code === 'forbidden' ? { ...tenableKeys, AV_HEALTH_METHOD: 'files' } : tenableKeys

  const found = find(cause, env)

  expect(found.map((one) => one.code)).toEqual([code])
  const [{ severity, title, cause: why, fix, since } = expect.fail(code)] = found
  expect(severity).toBe(problemCodes[code as ProblemCode].severity)
  for (const text of [title, why, fix]) expect(text).toMatch(/\w{3}/)
  if (since !== null) expect(new Date(since).toISOString()).toBe(since)
})

test('a secrets account that does not answer is a problem of its own, with its setting', () => {
  const found = find((facts) => lose(facts.secrets, { failure: silent }))

  expect(found).toMatchObject([
    {
      code: 'storage-unreachable',
      title: 'The secrets account does not answer, or refuses the app',
      cause: 'RELAY_SECRETS: no answer within 8 s',
      fix: expect.stringContaining('check RELAY_SECRETS'),
      sections: ['changes', 'avHealth'],
    },
  ])
})

test('what follows from a cause is listed under it', () => {
  const down = find((facts) => {
    causes.unreachable(facts)
    for (const report of Object.values(facts.changes.value.reports))
      Object.assign(report, { lastGoodPollAt: ago(20), lastPoll: { ...poll, error: 'network' } })
    Object.assign(facts.avHealth.value.report.lastRun, { state: 'failed', reason: 'network' })
    Object.assign(facts.avHealth.value.report.current, { generatedTime: ago(40 * 60) })
  })
  const lost = find(causes['storage-unreachable'])

  expect(down).toMatchObject([
    {
      code: 'unreachable',
      title: 'Defender is unreachable',
      since: ago(30),
      sections: ['changes', 'avHealth', 'scanHistory'],
      consequences: [
        'machine actions: no calls succeed',
        'investigations: no calls succeed',
        'antivirus health, by files: no calls succeed',
        'antivirus health, by pages: no calls succeed',
        'Defender scan look-ups: no calls succeed',
        `No poll of machine-actions succeeded since ${ago(20)}`,
        `No poll of investigations succeeded since ${ago(20)}`,
        'Export run r1 failed: network',
        expect.stringMatching(/^The snapshot is of /),
      ],
    },
  ])
  expect(lost[0]).toMatchObject({
    cause: 'RELAY_STORAGE: no answer within 8 s',
    sections: ['changes', 'scanHistory', 'avHealth'],
    consequences: expect.arrayContaining(['polls: not read', 'antivirus health: not read']),
  })
})

test('a cause that is over hides nothing: polls that do not start are a problem of their own', () => {
  const found = find((facts) => {
    setFamily(
      facts,
      fails('forbidden', { status: 403, missing: ['A.Read.All'] }),
      'machine-actions',
    )
    Object.assign(actions(facts), {
      lastGoodPollAt: ago(90),
      lastPoll: { ...poll, startedAt: ago(60), error: '403' },
    })
  })

  expect(found.map(({ code }) => code)).toEqual(['forbidden', 'polls-stopped'])
})

test('limits follow the schedule', () => {
  const daily = (minutes: number) =>
    find((facts) => {
      facts.changes.value.scheduleFor = (name) =>
        name === 'machine-actions' ? '0 30 11 * * *' : '0 * * * * *'
      Object.assign(actions(facts), {
        lastGoodPollAt: ago(minutes),
        lastPoll: { ...poll, startedAt: ago(minutes) },
      })
      Object.assign(facts.avHealth.value, { schedule: '0 0 3 * * Mon' })
      Object.assign(facts.avHealth.value.report.lastRun, { startedAt: ago(6 * 24 * 60) })
      Object.assign(facts.avHealth.value.report.current, { generatedTime: ago(6 * 24 * 60) })
    }).map(({ code }) => code)

  // Of polls at 11:30, and of runs on Mondays at 3:00; it is Monday 12:00.
  expect(daily(29)).toEqual(['runs-stopped'])
  expect(daily(23 * 60)).toEqual(['polls-stopped', 'runs-stopped'])
})

test('a refusal although the token has the role says so, and what else can refuse', () => {
  const [found] = find((facts) =>
    setFamily(facts, fails('forbidden', { status: 403 }), 'machine-actions'),
  )

  expect(found?.title).toBe('Defender refuses the app, although its token has the role')
  expect(found?.cause).toMatch(/the token has .*Machine\.Read\.All/)
  expect(found?.fix).toMatch(/licence.*device groups.*rights/)
})

test('timers that have never fired are problems, each with the time since when', () => {
  const found = find((facts) => {
    Object.assign(facts, { installed: loaded(ago(10 * 24 * 60)) })
    for (const report of Object.values(facts.changes.value.reports))
      Object.assign(report, { lastPoll: null, lastGoodPollAt: null })
    Object.assign(facts.avHealth.value.report, { current: null, lastRun: null })
    facts.events.value.deliveries.waiting.push({ ...receiver, since: ago(60) })
  })

  expect(found.map(({ code, since }) => [code, since])).toEqual([
    ['polls-stopped', ago(10 * 24 * 60)],
    ['runs-stopped', ago(10 * 24 * 60)],
    ['deliveries-late', ago(60)],
  ])
  expect(found[0]?.consequences).toEqual([
    'No poll of machine-actions ever succeeded',
    'No poll of investigations ever succeeded',
  ])
})
