import { readAlertRules } from '../bicep/alert-rules.ts'
import { findTraces, fires, readQuery, type Trace, toMs } from '../bicep/evaluate-query.ts'
import type { PlayedDay } from './played-day.ts'

/** The alert rules as they are deployed. */
export const rules = readAlertRules().map((rule) => ({
  ...rule,
  read: readQuery(rule.query),
  windowMs: toMs(rule.window),
}))

/** No rule is evaluated more often. */
export const EVERY = 5 * 60_000

/** Does something that takes time; answers every rule that fired meanwhile, or afterwards over the same lines. */
export async function firedDuring(
  day: Pick<PlayedDay, 'clock' | 'traces'>,
  work: () => Promise<void>,
  linesOf: (rule: (typeof rules)[number]) => Trace[] = () => day.traces,
): Promise<string[]> {
  const firingAt = (now: Date) =>
    rules.filter((rule) =>
      fires(rule, findTraces(rule.read, linesOf(rule), rule.windowMs, now).length),
    )
  const fired = new Set<string>()
  const beginMs = day.clock.now().getTime()
  await work()
  const endMs = day.clock.now().getTime()
  for (let ms = beginMs + EVERY; ms < endMs; ms += EVERY)
    for (const { name } of firingAt(new Date(ms))) fired.add(name)
  for (const { name } of firingAt(new Date(endMs))) fired.add(name)
  return [...fired].toSorted()
}
