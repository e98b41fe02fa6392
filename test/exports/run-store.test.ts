import { beforeEach, describe, expect, test } from 'vitest'
import type { RunRef } from '../../shared/exports/names.ts'
import { Fenced, type Run, toRun } from '../../shared/exports/run-record.ts'
import { type Current, createRunLedger, type RunLedger } from '../../shared/exports/run-store.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Table } from '../../shared/platform/table.ts'
import { freshStorage } from '../storage.ts'

let table: Table
let ledger: RunLedger

beforeEach(async () => {
  table = createTables({ connectionString: await freshStorage() })('Exports')
  await table.create()
  ledger = createRunLedger(table, 'av-health')
})

const FIRST = '20260302100000aaaa'
const SECOND = '20260302110000aaaa'

const newRun = (runId = FIRST): Run =>
  toRun(runId, {
    epoch: 1,
    state: 'starting',
    requestedMethod: 'auto',
    force: false,
    buckets: 16,
    startedAt: '2026-03-02T10:00:00.000Z',
    progressAt: '2026-03-02T10:00:00.000Z',
  })

const ref = (runId = FIRST, epoch = 1): RunRef => ({ kind: 'av-health', runId, epoch })
const pointer = (runId = FIRST): Current => ({
  runId,
  table: `Snapshot${runId}`,
  method: 'files',
  generatedTime: null,
  paths: 'digest',
  devices: 7,
  buckets: 16,
  publishedAt: '2026-03-02T12:00:00.000Z',
  changes: null,
  comparison: null,
  since: '2026-03-02T12:00:00.000Z',
  hiddenRuns: [],
})
const published = (run: Run): Run => ({ ...run, state: 'published' })

test('an empty ledger has no run and no snapshot', async () => {
  const known = [
    await ledger.active(),
    await ledger.current(),
    await ledger.run(FIRST),
    await ledger.runs(10),
  ]

  expect(known).toEqual([undefined, undefined, undefined, []])
})

describe('beginning', () => {
  test('a run is read as it was begun, and is the run in progress', async () => {
    const begun = await ledger.begin(newRun())

    expect(begun).toBe(true)
    expect(await ledger.active()).toEqual({ run: FIRST, epoch: 1 })
    expect(await ledger.run(FIRST)).toEqual(newRun())
  })

  test('of many runs begun at once one wins, and the others leave no row', async () => {
    const ids = Array.from({ length: 8 }, (_, n) => `2026030210000${n}aaaa`)

    const begun = await Promise.all(ids.map((runId) => ledger.begin(newRun(runId))))

    const winner = ids[begun.indexOf(true)]
    expect(begun.filter((won) => won)).toHaveLength(1)
    expect(await ledger.active()).toEqual({ run: winner, epoch: 1 })
    expect((await ledger.runs(10)).map(({ runId }) => runId)).toEqual([winner])
  })

  test('the same run twice, as after a lost answer, counts as begun', async () => {
    const begun = [await ledger.begin(newRun()), await ledger.begin(newRun())]

    expect(begun).toEqual([true, true])
    expect(await ledger.runs(10)).toHaveLength(1)
  })

  test('a run begins only after the previous one is released', async () => {
    await ledger.begin(newRun())

    const early = await ledger.begin(newRun(SECOND))
    await ledger.release(ref())
    const late = await ledger.begin(newRun(SECOND))

    expect([early, late]).toEqual([false, true])
  })

  test('a run does not wait for runs of another kind', async () => {
    await ledger.begin(newRun())

    const begun = await createRunLedger(table, 'other').begin(newRun(SECOND))

    expect(begun).toBe(true)
    expect((await ledger.runs(10)).map(({ runId }) => runId)).toEqual([FIRST])
  })
})

describe('updates', () => {
  test('made at the same time are all stored', async () => {
    await ledger.begin(newRun())

    await Promise.all(
      Array.from({ length: 6 }, () =>
        ledger.update(ref(), (run) => ({ ...run, linksRenewed: run.linksRenewed + 1 })),
      ),
    )

    expect((await ledger.run(FIRST))?.linksRenewed).toBe(6)
  })

  test('store every field, and erase a field that became null', async () => {
    await ledger.begin(newRun())
    const full = {
      method: 'files',
      reason: "it's <late>",
      generatedTime: '2026-03-02T09:00:00Z',
      listed: 3,
    } as const
    await ledger.update(ref(), (run) => ({
      ...run,
      ...full,
      unknownFields: { AvNew: 2, 'Two Words': 1 },
    }))

    await ledger.update(ref(), (run) => ({ ...run, reason: null }))

    expect(await ledger.run(FIRST)).toEqual({
      ...newRun(),
      ...full,
      reason: null,
      unknownFields: { AvNew: 2, 'Two Words': 1 },
    })
  })

  test('never move a run back, nor change an ended run', async () => {
    await ledger.begin(newRun())
    await ledger.update(ref(), (run) => ({ ...run, state: 'importing' }))

    await expect(
      ledger.update(ref(), (run) => ({ ...run, state: 'listing' })),
    ).rejects.toBeInstanceOf(Fenced)
    await ledger.update(ref(), (run) => ({ ...run, state: 'failed', reason: 'why' }))
    await expect(ledger.update(ref(), published)).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.publish(ref(), pointer(), published)).rejects.toBeInstanceOf(Fenced)

    expect(await ledger.run(FIRST)).toMatchObject({ state: 'failed', reason: 'why' })
    expect(await ledger.current()).toBeUndefined()
  })

  test('of an unknown run are fenced', async () => {
    await expect(ledger.update(ref(), (run) => run)).rejects.toBeInstanceOf(Fenced)
  })
})

describe('taking over', () => {
  test('raises the epoch and fences executors of older epochs', async () => {
    await ledger.begin(newRun())

    const taken = await ledger.takeOver({ run: FIRST, epoch: 1 })

    expect(taken).toEqual(ref(FIRST, 2))
    expect(await ledger.active()).toEqual({ run: FIRST, epoch: 2 })
    await expect(ledger.update(ref(), published)).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.publish(ref(), pointer(), published)).rejects.toBeInstanceOf(Fenced)
    await expect(ledger.release(ref())).rejects.toBeInstanceOf(Fenced)
    expect(await ledger.run(FIRST)).toEqual({ ...newRun(), epoch: 2 })
    expect([await ledger.current(), await ledger.active()]).toEqual([
      undefined,
      { run: FIRST, epoch: 2 },
    ])
  })

  test('by many processes at once is done by one', async () => {
    await ledger.begin(newRun())

    const taken = await Promise.all(
      Array.from({ length: 6 }, () => ledger.takeOver({ run: FIRST, epoch: 1 })),
    )

    expect(taken.filter((won) => won)).toEqual([ref(FIRST, 2)])
    expect((await ledger.run(FIRST))?.epoch).toBe(2)
  })

  test('fences an update in progress', async () => {
    await ledger.begin(newRun())
    let taken: Promise<unknown> | undefined

    const update = ledger.update(ref(), (run) => {
      taken ??= ledger.takeOver({ run: FIRST, epoch: 1 })
      return { ...run, reason: 'from the old epoch' }
    })

    const [outcome] = await Promise.allSettled([update])
    const won = await taken
    // Either order is right, but never both results.
    if (outcome?.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Fenced)
    const run = await ledger.run(FIRST)
    expect([run?.epoch, run?.reason]).toEqual(won ? [2, null] : [1, 'from the old epoch'])
  })

  test('of a run that changes at that moment does nothing: it is not dead', async () => {
    await ledger.begin(newRun())
    const late: Table['transact'] = async (operations) => {
      await ledger.update(ref(), (run) => ({ ...run, reason: 'alive' }))
      return table.transact(operations)
    }

    const taken = await createRunLedger({ ...table, transact: late }, 'av-health').takeOver({
      run: FIRST,
      epoch: 1,
    })

    expect(taken).toBeUndefined()
    expect(await ledger.active()).toEqual({ run: FIRST, epoch: 1 })
    expect(await ledger.run(FIRST)).toMatchObject({ epoch: 1, reason: 'alive' })
  })

  test('of a run that is no longer in progress does nothing', async () => {
    await ledger.begin(newRun())
    await ledger.release(ref())

    expect(await ledger.takeOver({ run: FIRST, epoch: 1 })).toBeUndefined()
    expect((await ledger.run(FIRST))?.epoch).toBe(1)
  })
})

describe('publishing', () => {
  test('changes pointer and run, and marks the previous run as superseded', async () => {
    await ledger.begin(newRun())
    await ledger.publish(ref(), pointer(), published)
    await ledger.release(ref())
    await ledger.begin(newRun(SECOND))
    const later = {
      ...pointer(SECOND),
      publishedAt: '2026-03-02T13:00:00.000Z',
      generatedTime: '2026-03-02T09:00:00Z',
    }

    await ledger.publish(ref(SECOND), later, published)

    expect(await ledger.current()).toEqual(later)
    expect(await ledger.run(SECOND)).toEqual(published(newRun(SECOND)))
    expect(await ledger.run(FIRST)).toEqual({
      ...published(newRun()),
      supersededAt: later.publishedAt,
    })
  })

  test('of a fenced run changes nothing', async () => {
    await ledger.begin(newRun())
    await ledger.publish(ref(), pointer(), published)
    await ledger.release(ref())
    await ledger.begin(newRun(SECOND))
    await ledger.takeOver({ run: SECOND, epoch: 1 })

    await expect(ledger.publish(ref(SECOND), pointer(SECOND), published)).rejects.toBeInstanceOf(
      Fenced,
    )

    expect(await ledger.current()).toEqual(pointer())
    expect((await ledger.run(FIRST))?.supersededAt).toBeNull()
    expect((await ledger.run(SECOND))?.state).toBe('starting')
  })

  test('a second time, as after a lost answer, changes nothing', async () => {
    await ledger.begin(newRun())
    await ledger.publish(ref(), pointer(), published)

    await expect(
      ledger.publish(ref(), { ...pointer(), devices: 8 }, published),
    ).rejects.toBeInstanceOf(Fenced)

    expect(await ledger.current()).toEqual(pointer())
    expect(await ledger.run(FIRST)).toEqual(published(newRun()))
  })

  test('works when the record of the previous run is deleted', async () => {
    await ledger.begin(newRun())
    await ledger.publish(ref(), pointer(), published)
    await ledger.release(ref())
    await ledger.delete(FIRST)
    await ledger.begin(newRun(SECOND))

    await ledger.publish(ref(SECOND), pointer(SECOND), published)

    expect((await ledger.current())?.runId).toBe(SECOND)
  })
})

describe('releasing', () => {
  test('may be repeated', async () => {
    await ledger.begin(newRun())
    await ledger.release(ref())

    await ledger.release(ref())

    expect(await ledger.active()).toBeUndefined()
  })

  test('leaves a later run alone', async () => {
    await ledger.begin(newRun())
    await ledger.release(ref())
    await ledger.begin(newRun(SECOND))

    await ledger.release(ref())

    expect(await ledger.active()).toEqual({ run: SECOND, epoch: 1 })
  })
})

describe('the list of runs', () => {
  test('goes from the newest to the oldest, page by page', async () => {
    const ids = Array.from({ length: 5 }, (_, n) => `2026030${n + 1}100000aaaa`)
    for (const runId of ids) {
      await ledger.begin(newRun(runId))
      await ledger.release(ref(runId))
    }

    const first = await ledger.runs(2)
    const second = await ledger.runs(2, first.at(-1)?.runId)
    const third = await ledger.runs(2, second.at(-1)?.runId)
    const none = await ledger.runs(2, third.at(-1)?.runId)

    expect([...first, ...second, ...third, ...none].map(({ runId }) => runId)).toEqual(
      ids.toReversed(),
    )
    expect([first, second, third, none].map((page) => page.length)).toEqual([2, 2, 1, 0])
  })

  test('does not contain deleted runs', async () => {
    await ledger.begin(newRun())
    await ledger.release(ref())

    await ledger.delete(FIRST)

    expect([await ledger.run(FIRST), await ledger.runs(10)]).toEqual([undefined, []])
  })
})
