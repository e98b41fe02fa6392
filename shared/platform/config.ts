import { z } from 'zod'
import { ConfigError, type SettingProblem } from './errors.ts'

/** The settings of the process; an empty text counts as absent. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Reads one section. Throws a `ConfigError` that names every missing or wrong setting and what is expected. */
export function readSection<S extends z.ZodRawShape>(
  section: string,
  env: Environment,
  shape: S,
): z.output<z.ZodObject<S>> {
  const problems: SettingProblem[] = []
  const values: Record<string, string> = {}
  for (const setting of Object.keys(shape)) {
    const value = env[setting]?.trim()
    if (!value) continue
    if (value.startsWith('@Microsoft.KeyVault(')) problems.push({ setting, problem: UNRESOLVED })
    else values[setting] = value
  }
  const read = z.object(shape).safeParse(values)
  for (const issue of read.error?.issues ?? []) {
    const setting = String(issue.path[0])
    if (problems.some((problem) => problem.setting === setting)) continue
    const expected =
      issue.code === 'invalid_value' ? `expected one of ${issue.values.join(', ')}` : issue.message
    const problem = values[setting] === undefined ? 'is missing' : `is wrong: ${expected}`
    problems.push({ setting, problem })
  }
  if (read.success && problems.length === 0) return read.data
  throw new ConfigError(section, problems)
}

/** The valid settings: a wrong one counts as absent here, and is reported by the section that needs it. */
export function readUsable<S extends z.ZodRawShape>(
  env: Environment,
  shape: S,
): Partial<z.output<z.ZodObject<S>>> {
  const valid = Object.entries(shape).map(([setting, schema]) => {
    try {
      return readSection('any', env, { [setting]: schema })
    } catch (error) {
      if (error instanceof ConfigError) return {}
      throw error
    }
  })
  return Object.assign({}, ...valid)
}

const UNRESOLVED =
  'is a Key Vault reference that was not resolved: check that the secret exists and that the identity may read it'

/** A text that is a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,9}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
}
