import { redact } from './redact.ts'

/** Facts beside a fixed message; values are redacted before they leave. */
export type Facts = Record<string, unknown>

/** Where lines go: fixed words first, facts beside them. */
export interface Log {
  info(message: string, facts?: Facts): void
  warn(message: string, facts?: Facts): void
  error(message: string, facts?: Facts): void
}

/** What travels with a request, or with what a timer began: everything that comes of it carries the id. */
export interface Trace {
  correlation?: string
}

/** Where one invocation tells its story, and what everything that comes of it carries. */
export interface Traced {
  log: Log
  trace: Trace
}

/** A place that takes finished lines, for instance an invocation's own logger. */
export interface LineSink {
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

/** Makes a log that writes `message {json}` lines to `sink`, every line redacted and with the bound facts at its end. */
export function createLog(sink: LineSink, bound: Trace = {}): Log {
  const line = (message: string, facts?: Facts) => {
    const all = { ...facts, ...bound }
    return redact(Object.keys(all).length > 0 ? `${message} ${JSON.stringify(all)}` : message)
  }
  return {
    info: (message, facts) => sink.info(line(message, facts)),
    warn: (message, facts) => sink.warn(line(message, facts)),
    error: (message, facts) => sink.error(line(message, facts)),
  }
}
