import { redact } from './redact.ts'

export type Facts = Record<string, unknown>

/** Takes lines: a fixed message, and facts. */
export type Log = Record<'info' | 'warn' | 'error', (message: string, facts?: Facts) => void>

/** The id that a request or a timer's run passes on to everything that it causes. */
export interface Trace {
  correlation?: string
}

export interface Traced {
  log: Log
  trace: Trace
}

/**
 * Makes a log that writes redacted `message {json}` lines to `sink`, with the trace at the end of each; a fact
 * `correlation` wins over it.
 */
export function createLog(
  sink: Record<'info' | 'warn' | 'error', (line: string) => void>,
  trace: Trace = {},
): Log {
  const line = (message: string, facts?: Facts) => {
    const all = {
      ...facts,
      ...trace,
      ...(facts?.correlation ? { correlation: facts.correlation } : {}),
    }
    return redact(Object.keys(all).length > 0 ? `${message} ${JSON.stringify(all)}` : message)
  }
  return {
    info: (message, facts) => sink.info(line(message, facts)),
    warn: (message, facts) => sink.warn(line(message, facts)),
    error: (message, facts) => sink.error(line(message, facts)),
  }
}
