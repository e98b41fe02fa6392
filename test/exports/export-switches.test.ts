import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noFaults } from '../../local/simulator/faults.ts'
import { exportsSwitches } from '../../local/simulator/switches/exports.ts'
import { changeLimits, patient } from '../limits.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'

let stack: TestStack
afterAll(() => stack.stop())

const unreadable = { state: 'failed', guard: 'unreadable' }
const devices = { state: 'failed', guard: 'devices', devicesBefore: 200 }

/** The end of a run under each switch, after a good snapshot of 200 devices. */
const ends: Record<string, object> = {
  'export-single-quotes': unreadable,
  'export-cut-off-json': unreadable,
  'export-mode-names': unreadable,
  'export-flag-words': unreadable,
  'export-local-times': unreadable,
  'export-scan-lists': unreadable,
  'export-windows-settings': { state: 'published', guard: null, unreadable: {} },
  'export-empty-file': devices,
  'export-no-devices': { ...devices, counts: { written: 0 } },
  'export-csv': { state: 'failed', guard: 'rejected', reason: /the line is not JSON/ },
  'export-zip': { state: 'failed' },
  'export-links-elsewhere': { state: 'failed', reason: /files\.example\.net/ },
  // The last one: its notice stays with its snapshot.
  'export-few-unreadable': { state: 'published', guard: null, reason: null },
}

test('every switch of exports is rehearsed here', () => {
  const names = [...Object.keys(ends), 'export-role-missing-once', 'export-list-500']

  expect(Object.keys(exportsSwitches).toSorted()).toEqual(names.toSorted())
})

/** Starts everything with a good snapshot, in place of what ran before. */
async function begin() {
  await stack?.stop()
  stack = await startTestStack({
    fleet: { size: 200, files: 2, badLines: 0 },
    env: noTimers,
  })
  const { body } = await stack.post('av-health/exports')
  return stack.runToEnd(body.runId)
}

async function next() {
  const { body } = await stack.post('av-health/exports')
  const run = await stack.runToEnd(body.runId)
  return { run, status: (await stack.get('status')).body }
}

describe('one export after the other', () => {
  beforeAll(() => begin())

  test.each(Object.entries(ends))('%s', async (name, end) => {
    changeLimits(patient)
    // The upstream lists twenty times an hour.
    stack.clock.advance(20 * 60_000)
    const { body: before } = await stack.get('status')
    stack.simulator.setFaults({ ...noFaults, ...exportsSwitches[name]?.faults })

    const { run, status } = await next()

    const { reason, ...rest } = { reason: undefined, ...end }
    expect(run).toMatchObject(rest)
    if (reason) expect(run.reason).toMatch(reason)
    const isPublished = run.state === 'published'
    expect(status.avHealth.current.runId).toBe(
      isPublished ? run.runId : before.avHealth.current.runId,
    )
    // Exactly this problem, and nothing about the upstream or another flow.
    const { avHealth, ...others } = status.sections
    const titles = avHealth.problems.map(({ title }: { title: string }) => title)
    expect(titles).toEqual(isPublished ? [] : [`Export run ${run.runId} failed: ${run.reason}`])
    expect({ avHealth: before.sections.avHealth, ...others }).toEqual(before.sections)
    const own = name === 'export-few-unreadable' ? ['fields-unreadable'] : []
    const codes = (notices: { code: string }[]) => notices.map(({ code }) => code)
    expect(status.upstreams.defender.state).toBe('ok')
    expect(codes(status.notices)).toEqual(expect.arrayContaining(own))
    expect(codes(status.notices)).toHaveLength(before.notices.length + own.length)
    if (name === 'export-few-unreadable')
      expect(run.unreadable).toEqual({ avMode: run.unreadableRows })
    if (name === 'export-windows-settings')
      expect(JSON.stringify(run.unknownFields)).not.toMatch(/SchUse|Ltsc/)
  })
})

test('export-list-500', async () => {
  await begin()
  stack.clock.advance(20 * 60_000)
  stack.simulator.setFaults(exportsSwitches['export-list-500']?.faults ?? {})

  const { run, status } = await next()

  // Also when its later tries have found no call of the budget left.
  expect(run.reason).toMatch(/^the upstream gave no listing: .*InfoGatheringExport: 500 /)
  expect(status.avHealth.lastRun).toMatchObject({ runId: run.runId, state: 'failed' })
  expect(status.avHealth.current.devices).toBe(200)
  expect(status.sections.avHealth.problems).toEqual([
    expect.objectContaining({
      code: 'unreachable',
      title: 'Defender answers with errors',
      fix: 'Check the health of the service; the app tries again by itself.',
      consequences: expect.arrayContaining([`Export run ${run.runId} failed: ${run.reason}`]),
    }),
  ])
})

test('export-role-missing-once', async () => {
  await begin()
  stack.simulator.setFaults(exportsSwitches['export-role-missing-once']?.faults ?? {})

  const pages = await next()
  const files = await next()
  const hints = (notices: { code: string; fix: string }[]) =>
    notices.flatMap(({ code, fix }) => (code === 'export-by-pages' ? fix : []))

  expect(pages.run).toMatchObject({ state: 'published', method: 'json' })
  expect(files.run).toMatchObject({
    state: 'unchanged',
    reason: expect.stringContaining('read page by page'),
  })
  // Without the role the data comes by pages: all is well, with a hint, and no run counts as failed.
  expect(hints(pages.status.notices)).toEqual([expect.stringContaining('AV_HEALTH_METHOD=json')])
  expect(hints(files.status.notices)).toEqual([])
  for (const { status } of [pages, files])
    expect(status.sections.avHealth).toEqual({ state: 'ok', problems: [] })
})
