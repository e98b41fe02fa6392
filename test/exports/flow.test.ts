import { afterEach, describe, expect, test } from 'vitest'
import { compareSnapshot } from '../../local/compare-snapshot.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import { startTestStack, type TestStack, type TestStackOptions } from '../stack.ts'

let stack: TestStack

const start = async (options?: TestStackOptions) => {
  stack = await startTestStack(options)
  return stack
}
const runExport = async (order = {}) => {
  const { body } = await stack.post('av-health/exports', order)
  return stack.runToEnd(body.runId)
}
const differences = async (run: { snapshot: string }, method: 'files' | 'json' = 'files') => {
  const table = createTables({ connectionString: stack.storage })(run.snapshot)
  return (await compareSnapshot(table, 16, stack.fleet.truth(method), method)).slice(0, 5)
}

afterEach(() => stack.stop())

describe('an export by files', () => {
  test('ends with exactly the fleet and accounts for every row, despite files that are not ready and expired links', async () => {
    await start({
      faults: { notReadyFiles: 2, notReadySeconds: 60, shortLivedLinks: 1, legalWeird: true },
    })

    const run = await runExport()

    const { counts } = stack.fleet
    expect(run).toMatchObject({
      state: 'published',
      notReadyAtFirst: 2,
      linksRenewed: 1,
      method: 'files',
    })
    expect(run.counts).toMatchObject({
      parsed: counts.lines,
      written: counts.devices,
      duplicates: counts.duplicates,
      rejected: counts.rejected,
      listed: run.counts.imported,
      failed: 0,
    })
    expect(run.files.flatMap((file: { rejects: unknown[] }) => file.rejects)).toHaveLength(
      counts.rejected,
    )
    expect(await differences(run)).toEqual([])
    expect(stack.simulator.leaks).toEqual([])
  })

  test('is unchanged the second time, unless `force` is set', async () => {
    await start()
    const first = await runExport()

    const second = await runExport()
    const forced = await runExport({ force: true })

    expect(second).toMatchObject({ state: 'unchanged', snapshot: null, counts: { parsed: 0 } })
    expect(forced.state).toBe('published')
    const { body } = await stack.get('av-health/snapshots')
    expect(
      body.snapshots.map((one: { runId: string; current: boolean }) => [one.runId, one.current]),
    ).toEqual([
      [forced.runId, true],
      [first.runId, false],
    ])
  })

  test('a file whose download breaks off is imported again, and nothing is counted twice', async () => {
    await start({ faults: { dropMidway: 2, nonGzip: 1 } })

    const run = await runExport()

    expect(run.state).toBe('published')
    expect(run.files.some((file: { attempts: number }) => file.attempts > 1)).toBe(true)
    expect(await differences(run)).toEqual([])
  })

  test('one bad file fails the run, but not the other files; readers still see the previous snapshot', async () => {
    await start()
    const good = await runExport()
    stack.simulator.setFaults({ badGzip: 1, changeGeneratedTime: true })

    const bad = await runExport()

    expect(bad).toMatchObject({
      state: 'failed',
      counts: { failed: 1, imported: bad.counts.listed - 1 },
      snapshot: null,
    })
    expect(bad.reason).toContain('1 of')
    const { body } = await stack.get('status')
    expect(body.avHealth.current.runId).toBe(good.runId)
    expect(body).toMatchObject({
      overall: 'degraded',
      sections: { avHealth: { state: 'degraded' } },
    })
    const engine = await stack.engine()
    await expect(engine.table(`AvHealthSnapshot${bad.runId}`).page({})).rejects.toMatchObject({
      reason: 'no-table',
    })
  })

  test('a file that never becomes ready fails the run with that reason', async () => {
    await start({ faults: { notReadyFiles: 1, notReadySeconds: 100_000 } })

    const run = await runExport()

    expect(run).toMatchObject({ state: 'failed', counts: { failed: 1 } })
    expect(run.reason).toContain('not ready')
  })

  test('an export that is replaced while links are renewed is never mixed: the run fails and starts again', async () => {
    await start({ faults: { shortLivedLinks: 1 } })
    const { body } = await stack.post('av-health/exports')
    const engine = await stack.engine()
    while ((await engine.runs.run(body.runId))?.state !== 'importing')
      await new Promise((done) => setTimeout(done, 5))
    stack.simulator.setFaults({ changeGeneratedTime: true })

    const first = await stack.runToEnd(body.runId)
    const { body: listed } = await stack.get('av-health/exports')
    const again =
      listed.runs[0].runId === first.runId ? await afterResume(first.runId) : listed.runs[0].runId
    const second = await stack.runToEnd(again)

    // Either the listing came after the change, or the run found the change and failed.
    if (first.state === 'failed') expect(first.reason).toContain('it lists the export of')
    expect(second.state).toBe('published')
  })

  test('an empty list publishes nothing and does not count as a fleet without devices', async () => {
    await start({ faults: { emptyList: true } })

    const run = await runExport()

    expect(run).toMatchObject({ state: 'empty', snapshot: null })
    expect((await stack.get('status')).body.avHealth.current).toBeNull()
    expect((await stack.get('devices')).body.type).toBe('urn:defender-relay:no-snapshot-yet')
  })

  test('too many rejected lines fail the run', async () => {
    await start({ fleet: { size: 300, files: 4, badLines: 9 } })

    const run = await runExport()

    expect(run).toMatchObject({ state: 'failed', counts: { rejected: 9 } })
    expect(run.reason).toContain('rejected')
  })

  test('an upstream that answers Retry-After is called again after a durable timer', async () => {
    await start({ faults: { exportStatus: { answer: 503, calls: 6 } } })

    const run = await runExport()

    expect(run.state).toBe('published')
  })

  test('a missing grant fails the run, and the reason names it', async () => {
    await start({ token: { roles: [] }, env: { AV_HEALTH_METHOD: 'files' } })

    const run = await runExport()

    expect(run).toMatchObject({ state: 'failed', counts: { listed: 0 } })
    const { body } = await stack.get('status')
    expect(body.upstreams.defender).toMatchObject({
      state: 'forbidden',
      lastError: { status: 403, missing: ['Vulnerability.Read.All', 'Machine.ReadWrite.All'] },
    })
  })

  async function afterResume(failed: string): Promise<string> {
    for (;;) {
      stack.clock.advance(60_000)
      await new Promise((resolve) => setTimeout(resolve, 50))
      const { body } = await stack.get('av-health/exports')
      if (body.runs[0].runId !== failed) return body.runs[0].runId
    }
  }
})

describe('an export by pages', () => {
  test('fills the same snapshot when the permission for files is missing', async () => {
    await start({ token: { roles: ['Machine.Read.All'] } })

    const run = await runExport()

    expect(run).toMatchObject({
      state: 'published',
      method: 'json',
      counts: { listed: 1, imported: 1, rejected: 0 },
    })
    expect(Date.parse(run.generatedTime)).not.toBeNaN()
    expect(await differences(run, 'json')).toEqual([])
  })
})
