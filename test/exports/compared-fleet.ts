import { createAdjustableClock } from '../../local/clock.ts'
import { announceSnapshot } from '../../shared/av-health/events.ts'
import { AV_HEALTH } from '../../shared/av-health/export.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import { beginRun } from '../../shared/exports/begin.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import type { RunRef } from '../../shared/exports/names.ts'
import { startRun } from '../../shared/exports/start.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  finish,
  importAll,
  type Storage,
  type Tables,
} from './small-run.ts'

const HOUR_MS = 3_600_000

/** A device of a test: its id is its letter 40 times, unless it is longer. */
export interface Device {
  id: string
  [field: string]: unknown
}

const toLine = ({ id, ...fields }: Device) =>
  JSON.stringify({
    DeviceId: id.length === 1 ? id.repeat(40) : id,
    ...{ DeviceName: `pc-${id}`, AvMode: '0', OsPlatform: 'Windows11', RbacGroupName: 'Clients' },
    ...{ AvIsSignatureUpToDate: 'True', AvIsEngineUpToDate: 'True', AvIsPlatformUpToDate: 'True' },
    // Always lately.
    LastSeenTime: '2099-01-01T05:00:00Z',
    ...fields,
  })

type EngineOptions = Parameters<typeof createSmallEngine>[2] & { tables?: Tables }

/** An account whose snapshots are made of lists of devices, one list a file. */
export async function createComparedFleet(storage: Storage = createMemoryTables()) {
  const clock = createAdjustableClock()
  const small = createSmallUpstream()
  // The links of every listing are valid.
  small.upstream.listings = 1
  small.source.pages = async function* () {
    for (const lines of Object.values(small.upstream.now.files))
      yield { rows: lines.map((line) => JSON.parse(line)), date: clock.now() }
  }
  const { executor, started } = createListeningExecutor()
  for (const name of ['Exports', 'Streams']) await storage.tables(name).create()
  const feed = createFeed(storage.tables('Streams'))

  function engine({ tables = storage.tables, ...options }: EngineOptions = {}): ExportEngine {
    const made = createSmallEngine(tables, small, { clock, ...options })
    const announce: ExportEngine['announce'] = async (run) => {
      const own = createFeed(tables('Streams'))
      await announceSnapshot({ engine: made, feed: own, source: '/tests', run })
    }
    return Object.assign(made, { announce })
  }

  /** Imports a fleet, an hour after the last one: the run is to be compared. */
  async function begin(files: Device[][], options: EngineOptions = {}, force = true) {
    clock.advance(HOUR_MS)
    small.upstream.now = {
      generatedTime: clock.now().toISOString(),
      files: Object.fromEntries(files.map((devices, n) => [`part-${n}`, devices.map(toLine)])),
    }
    await startRun(engine(options), executor, { force })
    const ref = started.at(-1) as RunRef
    const begun = await beginRun(engine(options), ref)
    if (begun.state === 'importing') await importAll(engine(options), ref, begun.files)
    return ref
  }

  async function publish(files: Device[][], options: EngineOptions = {}): Promise<string> {
    const ref = await begin(files, options)
    await finish(engine(options), ref)
    return ref.runId
  }

  const rows = (name: string) => Array.fromAsync(storage.tables(name).list({}))
  const changes = async (runId: string) =>
    (await rows('AvHealthChanges')).flatMap(({ partitionKey, rowKey }) =>
      partitionKey.startsWith(`${runId}|`) && rowKey !== '~progress' ? shortOf(rowKey) : [],
    )
  const events = async () =>
    (await feed.events(AV_HEALTH, 0, 1000)).map(({ type, subject, data }) => ({
      type: type.replace('defender-relay.av-health.', ''),
      subject: shortOf(subject),
      data,
    }))
  return { storage, clock, executor, started, feed, engine, begin, publish, rows, changes, events }
}

/** Ids of 40 equal letters as one letter. */
export const shortOf = (text: string): string => text.replace(/(.)\1{39}/g, '$1')
