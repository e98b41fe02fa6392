import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { streams } from '../shared/app/sections/events.ts'
import { summarySchema } from '../shared/av-health/routes.ts'
import { resources } from '../shared/changes/resources/index.ts'
import { runSchema, runSummarySchema } from '../shared/exports/view.ts'
import type { DataFolder } from './data-folder.ts'
import type { Receiver } from './simulator/receiver.ts'

/** An export run as the HTTP API answers it. */
export type Run = z.infer<typeof runSchema>

/** The result of the export: the line of `--once`. */
export const onceSchema = runSummarySchema.extend({
  ok: z.boolean(),
  /** Devices in the current snapshot, also when an earlier run published it. */
  devices: z.int(),
  seconds: z.number(),
  /** The first lines that could not be stored, with their files. */
  firstRejects: z
    .array(z.object({ file: z.string(), line: z.int(), reason: z.string() }))
    .optional(),
  /** Rows a second that this process has read; rows of an earlier process do not count. */
  rowsPerSecond: z.int(),
})
export type OnceReport = z.infer<typeof onceSchema>

/** The progress of a run. */
export interface Standing {
  run: Run
  rowsPerSecond: number
}

export interface OnceOptions {
  url: string
  /** A function key. */
  key: string
  signal: AbortSignal
  onProgress(standing: Standing): void
  /** Resumes runs that nothing executes any more, as a timer does every few minutes. */
  resume(): Promise<void>
  /** Milliseconds without any change after which `resume` is called, unless the run says what it waits for. */
  quietMs?: number
}

const finalStates = new Set<Run['state']>(['published', 'unchanged', 'empty', 'failed'])
const LOOK_EVERY_MS = 250
const REJECTS_SHOWN = 3
const QUIET_MS = 5000

const startedSchema = z.object({ runId: z.string(), joined: z.boolean() })
const runsSchema = z.object({
  runs: z.array(z.object({ runId: z.string(), state: runSummarySchema.shape.state })),
})
const snapshotsSchema = z.object({
  snapshots: z.array(z.object({ current: z.boolean(), devices: z.int() })),
})

/**
 * Runs one export over HTTP and reports its progress until it is over. An unfinished run is finished
 * first; when it fails, a new run starts.
 */
export async function exportOnce(options: OnceOptions): Promise<OnceReport> {
  const call = callerOf(options)
  const start = () => call('POST', 'av-health/exports', startedSchema)
  // A start does not join every run: one that is published on request refuses it.
  const { runs } = await call('GET', 'av-health/exports?limit=1000', runsSchema)
  const unfinished = runs.find(({ state }) => !finalStates.has(state))
  const first = unfinished ? { runId: unfinished.runId, joined: true } : await start()
  let end = await follow(options, call, first)
  if (end.run.state === 'failed' && first.joined) end = await follow(options, call, await start())
  const { seconds, rowsPerSecond } = end
  const { files, next: _next, skippedRows: _rows, ...summary } = end.run
  const firstRejects = files
    .flatMap(({ path, rejects }) =>
      rejects.map(({ text: _text, ...one }) => ({ file: path, ...one })),
    )
    .slice(0, REJECTS_SHOWN)
  const { snapshots } = await call('GET', 'av-health/snapshots', snapshotsSchema)
  const devices = snapshots.find(({ current }) => current)?.devices ?? 0
  const ok = summary.state === 'published' || summary.state === 'unchanged'
  const pace = { seconds: Math.round(seconds * 10) / 10, rowsPerSecond }
  return { ok, ...summary, devices, firstRejects, ...pace }
}

type Call = <S extends z.ZodType>(method: string, path: string, answer: S) => Promise<z.output<S>>

function callerOf({ url, key, signal }: OnceOptions): Call {
  return async (method, path, answer) => {
    const response = await fetch(`${url}/api/${path}`, {
      method,
      headers: { 'x-functions-key': key },
      signal,
    })
    const text = await response.text()
    if (!response.ok)
      throw new Error(`${method} /api/${path} answered ${response.status}: ${text.slice(0, 500)}`)
    return answer.parse(JSON.parse(text))
  }
}

/** Polls a run until it is over. */
async function follow(
  { signal, onProgress, resume, quietMs = QUIET_MS }: OnceOptions,
  call: Call,
  { runId, joined }: z.output<typeof startedSchema>,
): Promise<Standing & { seconds: number }> {
  const beganAt = performance.now()
  let rowsBefore = joined ? undefined : 0
  let seen = ''
  let changedAt = beganAt
  for (;;) {
    const run = await call('GET', `av-health/exports/${runId}?limit=1000`, runSchema)
    rowsBefore ??= run.counts.parsed
    const seconds = (performance.now() - beganAt) / 1000
    const rowsPerSecond = Math.round((run.counts.parsed - rowsBefore) / Math.max(seconds, 0.1))
    onProgress({ run, rowsPerSecond })
    if (finalStates.has(run.state)) return { run, rowsPerSecond, seconds }

    const state = JSON.stringify(run)
    if (state !== seen) [seen, changedAt] = [state, performance.now()]
    else if (!run.waiting && performance.now() - changedAt > quietMs) {
      // An activity that was killed several times ends its orchestration. The next timer is too far away to wait for.
      await resume()
      changedAt = performance.now()
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal })
  }
}

/** The app, the receiver that subscribes to it, and the function that prints a line for each event. */
export interface FollowOptions {
  url: string
  key: string
  folder: DataFolder
  receiver: Receiver
  say(line: string): void
}

const event = z.object({
  type: z.string(),
  data: z.looseObject({
    from: z.string().nullish(),
    to: z.string().nullish(),
    type: z.string().nullish(),
    computerDnsName: z.string().nullish(),
    requestor: z.string().nullish(),
  }),
})

const poster =
  ({ url, key }: Pick<FollowOptions, 'url' | 'key'>) =>
  (path: string, body: unknown) =>
    fetch(`${url}/api/${path}`, {
      method: 'POST',
      headers: { 'x-functions-key': key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

/** Ends the subscription of the receiver of an earlier start: its address leads nowhere now. */
export async function leaveEvents({ folder, ...app }: Omit<FollowOptions, 'receiver' | 'say'>) {
  const { callbackUrl } = folder.state
  if (callbackUrl === undefined) return
  await poster(app)('subscriptions/unsubscribe', { callbackUrl })
  delete folder.state.callbackUrl
  folder.save()
}

/** Subscribes the built-in receiver to every event and prints each one that is delivered. */
export async function followEvents({
  url,
  key,
  folder,
  receiver,
  say,
}: FollowOptions): Promise<void> {
  const answer = await poster({ url, key })('subscriptions', {
    callbackUrl: receiver.url,
    description: 'npm start',
    filter: { streams },
  })
  if (!answer.ok)
    throw new Error(
      `the built-in receiver could not subscribe: ${answer.status} ${await answer.text()}`,
    )
  folder.state.callbackUrl = receiver.url
  folder.save()
  const { secret } = z.object({ secret: z.string().optional() }).parse(await answer.json())
  receiver.setSecret(secret)
  receiver.onDelivery(({ body, signatureOk }) => {
    const read = event.safeParse(body)
    if (read.success) say(describeEvent(read.data, signatureOk))
  })
}

/** One line for one event: old → new state, type, device, requestor. */
function describeEvent({ type, data }: z.infer<typeof event>, signatureOk: boolean | null): string {
  const step = data.from || data.to ? `${data.from ?? '·'} → ${data.to ?? '·'}` : ''
  const about = [data.type, data.computerDnsName, data.requestor].filter(Boolean).join(', ')
  const what = step ? `${step}  ${about}` : type.replace('defender-relay.', '')
  // As wide as a usual terminal.
  return `event  ${what.slice(0, 73)}${signatureOk === false ? '  SIGNATURE IS WRONG' : ''}`
}

const checkedSchema = z.object({ openItems: z.int() })

/** Polls each watched kind now and counts its open items; null for a kind that can't be polled. */
export async function countOpen(url: string, key: string): Promise<Record<string, number | null>> {
  const counts = resources.map(async ({ name, title }) => {
    const answer = await fetch(`${url}/api/changes/${name}/check`, {
      method: 'POST',
      headers: { 'x-functions-key': key },
    })
    const read = checkedSchema.safeParse(await answer.json())
    return [title, read.success ? read.data.openItems : null] as const
  })
  return Object.fromEntries(await Promise.all(counts))
}

export type Summary = z.output<typeof summarySchema>

/** The numbers of the current snapshot; null before the first one, undefined where the app does not say. */
export async function readSummary(url: string, key: string): Promise<Summary | null | undefined> {
  const headers = { 'x-functions-key': key }
  const answer = await fetch(`${url}/api/av-health/summary`, { headers })
  if (answer.status === 404) return null
  return summarySchema.safeParse(await answer.json()).data
}

/** Runs a timer of the host immediately. */
export async function runTimer(url: string, masterKey: string, name: string): Promise<void> {
  const headers = { 'x-functions-key': masterKey, 'content-type': 'application/json' }
  await fetch(`${url}/admin/functions/${name}`, { method: 'POST', headers, body: '{}' })
}
