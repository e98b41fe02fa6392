import { redact } from './redact.ts'

const SECRET_NAME =
  /pass(?:word|phrase)|secret|credential|token|api_?-?keys?$|private_?key|community|auth\w{0,40}params/i
const HIDDEN = '[hidden]'

/**
 * A copy of parsed JSON without secrets: what stands under a name that tells of one is hidden whole, every text loses what
 * looks like one, and the given values are hidden wherever they stand, names included.
 */
export function redactJson(value: unknown, secrets: string[] = []): unknown {
  const clean = (text: string) =>
    redact(secrets.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text))
  // Lists repeat the same few names a hundred thousand times.
  const names = new Map<string, { name: string; isSecret: boolean }>()
  const look = (name: string) => {
    const known = names.get(name) ?? { name: clean(name), isSecret: SECRET_NAME.test(name) }
    names.set(name, known)
    return known
  }
  const walk = (part: unknown): unknown => {
    if (typeof part === 'string') return clean(part)
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(
      Object.entries(part).map(([given, inner]) => {
        const { name, isSecret } = look(given)
        return [name, isSecret && tells(inner) ? HIDDEN : walk(inner)]
      }),
    )
  }
  return walk(value)
}

/** Null and a flag tell that there is none, or whether there is one. */
const tells = (value: unknown) => value !== null && typeof value !== 'boolean'
