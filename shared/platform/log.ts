import { redact } from './redact.ts'

export type Facts = Record<string, unknown>

/** Takes lines: a fixed message, facts, and the trace of what the line is about where that is another one. */
export type Log = Record<
  'info' | 'warn' | 'error',
  (message: string, facts?: Facts, trace?: Trace) => void
>

/** The id that a request or a timer's run passes on to everything that it causes. */
export interface Trace {
  correlation?: string
}

export interface Traced {
  log: Log
  trace: Trace
}

/** Makes a log that writes redacted `message {json}` lines to `sink`, with the trace at the end of each. */
export function createLog(
  sink: Record<'info' | 'warn' | 'error', (line: string) => void>,
  trace: Trace = {},
): Log {
  const line = (message: string, facts?: Facts, own?: Trace) => {
    const all = { ...facts, ...trace, ...own }
    return redact(Object.keys(all).length > 0 ? `${message} ${JSON.stringify(all)}` : message)
  }
  return {
    info: (...words) => sink.info(line(...words)),
    warn: (...words) => sink.warn(line(...words)),
    error: (...words) => sink.error(line(...words)),
  }
}
