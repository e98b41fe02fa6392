const HIDDEN = '[hidden]'

const queryNames =
  'sig|code|ticket|token|secret|key|password|passwd|pwd|otp|skoid|sktid|access_token|refresh_token|id_token|client_secret|client_assertion'
const headerNames =
  'x-functions-key|authorization|x-apikeys|client_secret|access_token|webhook-signature'

const secrets: [RegExp, string][] = [
  // SAS signatures and every other secret query or form value, also inside HTML, JSON and another URL.
  [
    new RegExp(
      `((?:^|[?&;]|\\\\u0026|%26|%3F)(?:${queryNames})(?:=|%3D))(?:(?!%26|\\\\)[^&;\\s"'<>])+`,
      'gi',
    ),
    `$1${HIDDEN}`,
  ],
  [/\b(Bearer\s+)[\w.~+/=-]+/gi, `$1${HIDDEN}`],
  [/\b(SharedKey(?:Lite)?\s+\S+?:)[\w+/=]+/gi, `$1${HIDDEN}`],
  [/\b((?:AccountKey|SharedAccessSignature|accessKey|secretKey)\s*=\s*)[^;\s"']+/gi, `$1${HIDDEN}`],
  // The dots are optional: to require them would make the search slow in a long text without any.
  [/\beyJ[\w-]{5,}(?:\.[\w-]+){0,2}/g, HIDDEN],
  [/\bwhsec_[\w+/=-]+/g, HIDDEN],
  [/\b(v1a?,)[\w+/=-]{20,}/g, `$1${HIDDEN}`],
  [/(\/\/[^\s/:@"]{1,256}:)[^\s/@"]{1,256}(?=@)/g, `$1${HIDDEN}`],
  // A quoted value is a secret up to its last quote; an unquoted one up to the next delimiter.
  [
    new RegExp(`("(?:${headerNames}|signature)\\\\?"\\s*:\\s*\\\\?")[^"\\\\]+`, 'gi'),
    `$1${HIDDEN}`,
  ],
  // `signature:stale` is no secret.
  [/\b(signature\s*[:=]\s*)[^"\s,;|}]{12,}/gi, `$1${HIDDEN}`],
  [
    new RegExp(
      `\\b((?:${headerNames})\\s*[:=]\\s*(?:(?:Basic|Bearer|SharedKey(?:Lite)?)\\s+)?)[^"\\s,;}]+`,
      'gi',
    ),
    `$1${HIDDEN}`,
  ],
]

/** Hides signatures, tokens, keys and tickets in a text; the rest is safe to log or to answer. */
export function redact(text: string): string {
  return secrets.reduce((safe, [pattern, replacement]) => safe.replace(pattern, replacement), text)
}

/** In a name in lower case without separators. */
const SECRET_NAME =
  /pass(?:word|wd|phrase|code)|pwd|secret|credential|token|cookie|connectionstring|privatekey|(?:api|access|shared|auth|account|storage|master|function|signing|encryption|ssh)keys?$|sasur[il]$|^authorization$|community|auth\w{0,40}params/
/** Short names, which other words hold too: only as whole words. */
const SECRET_WORDS = new Set(['sig', 'otp', 'sas', 'jwt'])

function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z\d])([A-Z])/g, '$1 $2').split(/[^A-Za-z\d]+/)
  const joined = words.join('').toLowerCase()
  return (
    SECRET_NAME.test(joined) ||
    [joined, ...words].some((word) => SECRET_WORDS.has(word.toLowerCase()))
  )
}

/**
 * A copy of parsed JSON without secrets: values under names like `password` are hidden, every text is redacted, and
 * `secrets` are hidden everywhere, also in names.
 */
export function redactJson(value: unknown, secrets: string[] = []): unknown {
  const clean = (text: string) =>
    redact(secrets.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text))
  // Lists repeat the same few names a hundred thousand times.
  const names = new Map<string, { name: string; isSecret: boolean }>()
  const lookUp = (name: string) => {
    const known = names.get(name) ?? { name: clean(name), isSecret: isSecretName(name) }
    names.set(name, known)
    return known
  }
  const walk = (part: unknown): unknown => {
    if (typeof part === 'string') return clean(part)
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(
      Object.entries(part).map(([original, inner]) => {
        const { name, isSecret } = lookUp(original)
        return [name, isSecret && canBeSecret(inner) ? HIDDEN : walk(inner)]
      }),
    )
  }
  return walk(value)
}

/** Null and a flag only say whether there is a secret. */
const canBeSecret = (value: unknown) => value !== null && typeof value !== 'boolean'
