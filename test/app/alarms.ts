import { readAlertRules, window } from '../bicep/alert-rules.ts'
import { countRows, readQuery, type Trace, toMs } from '../bicep/evaluate-query.ts'
import type { PlayedDay } from './played-day.ts'

/** The alert rules as they are deployed. */
export const rules = readAlertRules().map((rule) => ({ ...rule, read: readQuery(rule.query) }))

/** How often the heartbeat is written. */
export const EVERY = 5 * 60_000

/** Does something that takes time; answers every rule that fired meanwhile, or afterwards over the same lines. */
export async function firedDuring(
  day: Pick<PlayedDay, 'clock' | 'traces'>,
  work: () => Promise<void>,
): Promise<string[]> {
  const beginMs = day.clock.now().getTime()
  await work()
  const endMs = day.clock.now().getTime()
  const fired = new Set<string>()
  for (let ms = beginMs + EVERY; ms < endMs + EVERY; ms += EVERY) {
    const now = new Date(Math.min(ms, endMs))
    for (const { name, read } of rules)
      if (countRows(read, day.traces, toMs(window), now) > 0) fired.add(name)
  }
  return [...fired].toSorted()
}

/** The problems in lines that an alert rule finds, each code once. */
export const codesIn = (traces: Trace[], onlyAlerts = true): string[] =>
  [
    ...new Set(
      traces.flatMap(({ message }) => {
        if (!message.startsWith('problem {')) return []
        const { code, alert } = JSON.parse(message.slice('problem '.length))
        return alert !== null || !onlyAlerts ? String(code) : []
      }),
    ),
  ].toSorted()
