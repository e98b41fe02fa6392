import { expect, test } from 'vitest'
import { beginRun, renewLinks } from '../../shared/exports/begin.ts'
import { importFile } from '../../shared/exports/import.ts'
import type { Listing } from '../../shared/exports/kind.ts'
import { startRun } from '../../shared/exports/start.ts'
import { ConfigError, UpstreamError } from '../../shared/platform/errors.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  finish,
  importAll,
  laterExport,
  smallExport,
} from './small-run.ts'

async function prepare(method: 'files' | 'json' = 'files') {
  const memory = createMemoryTables()
  await memory.tables('Exports').create()
  const small = createSmallUpstream()
  const engine = createSmallEngine(memory.tables, small, { method })
  const { runId } = await startRun(engine, createListeningExecutor().executor)
  const ref = { kind: 'av-health', runId, epoch: 1 }
  /** The engine with another answer to the request for a list. */
  const listing = (listFiles: () => Promise<Listing>) => ({
    ...engine,
    kind: { ...engine.kind, listFiles },
  })
  const ended = async () => {
    await finish(engine, ref)
    return engine.runs.run(runId)
  }
  return { small, engine, ref, listing, ended }
}

const failure = new UpstreamError({
  upstream: 'defender',
  call: 'GET list',
  status: 500,
  code: 'Broken',
  reason: 'refused',
  retryable: true,
})
const usedUp = new UpstreamError({ ...failure.facts, status: 429, code: 'OwnBudget' })
const fails = (error: Error) => () => Promise.reject(error)

test('calls that failed stay the reason when they have used up the budget', async () => {
  const { ref, listing, ended } = await prepare()

  await beginRun(listing(fails(failure)), ref)
  await beginRun(listing(fails(usedUp)), ref)

  expect(await ended()).toMatchObject({
    state: 'failed',
    reason: 'the upstream gave no listing: defender: GET list: 500 Broken',
  })
})

test('a renewal that failed is the reason, until one succeeds', async () => {
  const { engine, ref, listing, ended } = await prepare()
  await beginRun(engine, ref)
  await importFile(engine, { ...ref, file: 2 })
  const renew = { ...ref, files: [2] }

  await renewLinks(listing(fails(failure)), renew)
  await renewLinks(listing(fails(usedUp)), renew)
  const meanwhile = await engine.runs.run(ref.runId)
  await renewLinks(engine, renew)
  const renewed = await engine.runs.run(ref.runId)
  // The file that has its new link is not read again.
  const end = await ended()

  expect(meanwhile).toMatchObject({
    reason: 'renewing the links failed: defender: GET list: 500 Broken',
    waiting: {
      for: 'a list of files: renewing the links failed: defender: GET list: 500 Broken; no call of the budget is left until then',
    },
  })
  expect(renewed).toMatchObject({ reason: null, waiting: null })
  expect(end?.reason).toMatch(
    /^3 of 3 files failed: no attempt came to an end \(group=1\S+ and 1 more\), /,
  )
})

test('a renewal that never succeeds is the reason of the failed run', async () => {
  const { engine, ref, listing, ended } = await prepare()
  await beginRun(engine, ref)
  await importFile(engine, { ...ref, file: 2 })

  await renewLinks(listing(fails(failure)), { ...ref, files: [2] })

  expect((await ended())?.reason).toBe('renewing the links failed: defender: GET list: 500 Broken')
})

const { 'group=1/part.json.gz': _one, ...fewer } = smallExport.files

test.each([
  [{ ...smallExport, files: {} }, 'no file'],
  [{ ...smallExport, files: fewer }, 'other files'],
  [laterExport, 'the export of 2026-11-20T12:00:00Z'],
  [{ ...smallExport, generatedTime: null }, 'the export of an unknown time'],
])('a renewal whose list is another one says which: %#', async (now, listed) => {
  const { small, engine, ref, ended } = await prepare()
  await beginRun(engine, ref)
  await importFile(engine, { ...ref, file: 2 })
  small.upstream.now = now

  const renewed = await renewLinks(engine, { ...ref, files: [2] })

  expect(renewed).toEqual({ state: 'over' })
  expect((await ended())?.reason).toBe(
    `the upstream no longer lists the export that was being imported: it lists ${listed}`,
  )
})

test('a wrong setting that stops the pages is the reason, after one attempt', async () => {
  const { engine, ref, ended } = await prepare('json')
  const problems = [{ setting: 'AZURE_CLIENT_ID', problem: 'names no identity' }]
  const kind = {
    ...engine.kind,
    pages: () => {
      throw new ConfigError('identity', problems)
    },
  }
  await beginRun(engine, ref)

  await importAll({ ...engine, kind }, ref, [1])

  expect((await ended())?.reason).toBe(
    '1 of 1 files failed: identity: AZURE_CLIENT_ID names no identity (paged-list)',
  )
})
