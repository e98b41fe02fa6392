import { z } from 'zod'
import type { NewEvent } from '../events/event.ts'
import { type Feed, type Head, StreamMoved } from '../events/feed/feed.ts'
import type { ExportEngine } from '../exports/engine.ts'
import { type Change, listChanges } from '../exports/fleet-rows.ts'
import type { Run } from '../exports/run-record.ts'
import { viewCounts } from '../exports/view.ts'
import { readable } from '../platform/table-record.ts'
import { AV_HEALTH } from './export.ts'
import { transitionKinds } from './transitions.ts'

/** The type of the event for a published snapshot. */
export const SNAPSHOT_PUBLISHED = 'defender-relay.av-health.snapshot.published'
/** The type of the event for transitions that have no event each. */
export const CHANGES_SUMMARIZED = 'defender-relay.av-health.changes.summarized'
const typeOf = (kind: string) => `defender-relay.av-health.device.${kind}`

/** The types of the events for transitions of devices. */
export const deviceTypes = transitionKinds.map(typeOf)

interface Announcement {
  engine: ExportEngine
  feed: Feed
  source: string
  run: Run
}

/**
 * Appends the events of a published snapshot: one for each transition in the order of ids, then the summary of those
 * without an event, then the snapshot itself. Repeated after a crash it goes on where it was. Answers whether this call
 * appended the last one.
 */
export async function announceSnapshot(announcement: Announcement): Promise<boolean> {
  const { engine, feed, run } = announcement
  if (run.changes?.state === 'known') await announceChanges(announcement)
  const { runId, generatedTime, method, written: devices, devicesBefore, unreadable, changes } = run
  const base = newEvent(announcement, runId, engine.clock.now().toISOString())
  const { countedOnly = [], counts = {}, previousRunId = null } = changes ?? {}
  const only = Object.fromEntries(countedOnly.map((kind) => [kind, counts[kind] ?? 0]))
  const { newMethod = false } = changes ?? {}
  const summary = { runId, previousRunId, newMethod, counts: only }
  const published = { runId, generatedTime, method, devices, devicesBefore, unreadable, changes }
  return feed.appendOnce(AV_HEALTH, `published|${runId}`, [
    ...(countedOnly.length > 0 ? [{ ...base, type: CHANGES_SUMMARIZED, data: summary }] : []),
    { ...base, type: SNAPSHOT_PUBLISHED, data: { ...published, counts: viewCounts(run) } },
  ])
}

function newEvent({ engine, source }: Announcement, item: string, time: string) {
  const detectedAt = engine.clock.now().toISOString()
  const { correlation } = engine.trace
  return { item, version: 1, source, time, detectedAt, correlation }
}

/** Most events of one transaction, and most UTF-16 units. */
const MAX_EVENTS = 98
const MAX_UNITS = 400_000

/** How far the transitions of a run are announced; the state of the stream. */
const positionSchema = z.object({ run: z.string(), slice: z.string(), key: z.string() })

async function announceChanges(announcement: Announcement): Promise<void> {
  for (;;) {
    try {
      return await announceFrom(announcement, await announcement.feed.head(AV_HEALTH))
    } catch (error) {
      if (!(error instanceof StreamMoved)) throw error
    }
  }
}

async function announceFrom(announcement: Announcement, start: Head): Promise<void> {
  const { engine, feed, run } = announcement
  const { runId, comparison, changes } = run
  const position = readable(() => positionSchema.parse(JSON.parse(start.state)))
  // Another executor announced this run to its end, and then a later one.
  if (position && position.run > runId) return
  const after = position?.run === runId ? position : undefined
  let head = start
  let events: NewEvent[] = []
  let units = 0
  let at = { slice: '', key: '' }
  const append = async () => {
    if (events.length === 0) return
    const state = JSON.stringify({ run: runId, ...at })
    head = await feed.appendWithState(head, events, state)
    events = []
    units = 0
  }
  const { fleet } = engine.kind
  const slices = comparison?.slices ?? 1
  for await (const change of listChanges(engine.table, fleet, runId, slices, after)) {
    if (changes?.countedOnly.includes(change.kind)) continue
    const event = transitionEvent(announcement, change)
    const size = JSON.stringify(event).length
    if (events.length === MAX_EVENTS || units + size > MAX_UNITS) await append()
    events.push(event)
    units += size
    at = { slice: change.slice, key: change.key }
  }
  await append()
}

function transitionEvent(announcement: Announcement, change: Change): NewEvent {
  const { runId, comparison, generatedTime, changes } = announcement.run
  const { machineId, kind, name, from, to } = change
  const previousRunId = changes?.previousRunId ?? null
  return {
    ...newEvent(announcement, machineId, comparison?.at ?? runId),
    // One event of a kind for each device and run.
    version: Number(runId.slice(0, 14)),
    type: typeOf(kind),
    data: { machineId, computerDnsName: name, kind, from, to, runId, previousRunId, generatedTime },
  }
}
