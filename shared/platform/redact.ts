const HIDDEN = '[hidden]'

const secrets: [RegExp, string][] = [
  // SAS signatures and every other query value that opens a door.
  [/([?&](?:sig|code|token|secret|key|access_token|client_secret|skoid|sktid)=)[^&\s"'<>]+/gi, `$1${HIDDEN}`],
  [/\b(Bearer\s+)[\w.~+/=-]+/gi, `$1${HIDDEN}`],
  [/\b(SharedKey(?:Lite)?\s+\S+?:)[\w+/=]+/gi, `$1${HIDDEN}`],
  [/\b((?:AccountKey|SharedAccessSignature|accessKey|secretKey)\s*=\s*)[^;\s"']+/gi, `$1${HIDDEN}`],
  [/\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]+)?/g, HIDDEN],
  [/\bwhsec_[\w+/=-]+/g, HIDDEN],
  [/(\/api\/continue\/)[\w-]+/g, `$1${HIDDEN}`],
  [
    /("?(?:x-functions-key|authorization|x-apikeys|client_secret|access_token|signature)"?\s*[:=]\s*"?)(?!Bearer )[^"\s,;}]+/gi,
    `$1${HIDDEN}`,
  ],
]

/** Takes signatures, tokens, keys and tickets out of a text; what is left is safe to log or to answer. */
export function redact(text: string): string {
  return secrets.reduce((safe, [pattern, replacement]) => safe.replace(pattern, replacement), text)
}
