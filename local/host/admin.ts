import { z } from 'zod'
import type { AdjustableClock } from '../clock.ts'
import type { HostCall, HostReply } from './http.ts'
import { type Keys, refuseAdmin } from './keys.ts'

/** What the admin routes can reach. */
export interface AdminParts {
  keys: Keys
  clock: AdjustableClock
  /** Starts a run of a timer now; undefined = no function has that name, false = it is not a timer. */
  runNow(name: string): boolean | undefined
}

const runBody = z.object({ input: z.unknown().optional() })
const clockBody = z.object({ advanceSeconds: z.number().min(0) })

/** Answers `/admin/...`: run a timer now, move the clock; undefined for any other path. */
export function answerAdmin(
  { keys, clock, runNow }: AdminParts,
  call: HostCall,
): HostReply | undefined {
  const [, area, what, name, ...rest] = call.path.split('/')
  if (area?.toLowerCase() !== 'admin') return undefined
  const refusal = refuseAdmin(keys, call.request.headers, call.query)
  if (refusal) return { status: refusal }
  if (call.method !== 'POST' || rest.length > 0) return { status: 404 }
  const body = parseJson(call.body)
  if (what === 'functions' && name) {
    if (!runBody.safeParse(body).success) return { status: 400 }
    const started = runNow(name)
    if (started === undefined) return { status: 404 }
    return started
      ? { status: 202 }
      : { status: 400, body: 'The embedded host runs only timers on demand.' }
  }
  if (what === 'clock' && !name) {
    const read = clockBody.safeParse(body)
    if (!read.success) return { status: 400 }
    clock.advance(read.data.advanceSeconds * 1000)
    return json({ now: clock.now().toISOString(), offsetSeconds: clock.offsetMs / 1000 })
  }
  return { status: 404 }
}

function json(value: unknown): HostReply {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  }
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
