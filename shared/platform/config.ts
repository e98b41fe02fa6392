import { z } from 'zod'
import { ConfigError, type SettingProblem } from './errors.ts'

/** The settings as the platform hands them over; empty text counts as absent. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads one section's settings. Throws a `ConfigError` that names every missing or wrong setting of the section at once,
 * with what is expected and never with the value.
 */
export function readSection<S extends z.ZodRawShape>(
  section: string,
  env: Environment,
  shape: S,
): z.output<z.ZodObject<S>> {
  const problems: SettingProblem[] = []
  const given: Record<string, string> = {}
  for (const setting of Object.keys(shape)) {
    const value = env[setting]?.trim()
    if (!value) continue
    if (value.startsWith('@Microsoft.KeyVault(')) problems.push({ setting, problem: UNRESOLVED })
    else given[setting] = value
  }
  const read = z.object(shape).safeParse(given)
  if (!read.success) {
    for (const issue of read.error.issues) {
      const setting = String(issue.path[0])
      if (problems.some((problem) => problem.setting === setting)) continue
      problems.push({
        setting,
        problem: given[setting] === undefined ? 'is missing' : `is wrong: ${expectation(issue)}`,
      })
    }
  }
  if (read.success && problems.length === 0) return read.data
  throw new ConfigError(section, problems)
}

/** The settings as far as they can be read: one that is wrong counts as absent. Whoever depends on it says that it is wrong. */
export function readUsable<S extends z.ZodRawShape>(
  env: Environment,
  shape: S,
): Partial<z.output<z.ZodObject<S>>> {
  const usable = Object.entries(shape).map(([setting, schema]) => {
    try {
      return readSection('any', env, { [setting]: schema })
    } catch (error) {
      if (error instanceof ConfigError) return {}
      throw error
    }
  })
  return Object.assign({}, ...usable)
}

const UNRESOLVED =
  'is a Key Vault reference that was not resolved: check that the secret exists and that the identity may read it'

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.join(', ')}`
  return issue.message
}

/** A whole number written as text, within bounds. */
export const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `expected a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine(
      (value) => value >= least && value <= most,
      `expected a whole number from ${least} to ${most}`,
    )
