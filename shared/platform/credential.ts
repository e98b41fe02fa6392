import {
  CredentialUnavailableError,
  DefaultAzureCredential,
  ManagedIdentityCredential,
  type TokenCredential,
} from '@azure/identity'
import { ManagedIdentityApplication } from '@azure/msal-node'
import { z } from 'zod'
import { bounds } from './body.ts'
import { ConfigError, type SettingProblem, UpstreamError } from './errors.ts'
import { redact } from './redact.ts'
import { singleFlight } from './single-flight.ts'
import { type Clock, MINUTE_MS, within } from './time.ts'

/** Resolves with a bearer token; with `fresh`, with a new one from the issuer, for use after a 401 or 403. */
export type GetToken = (options?: { fresh?: boolean }) => Promise<string>

/** The identity that the app signs in with. The SDK caches the tokens of its credentials and renews them in time. */
export interface Credential extends TokenCredential {
  /** As `getToken`, but without the cache; absent when there is no cache. */
  getNewToken?: TokenCredential['getToken']
  /** Where tokens come from, for errors. */
  address?: string
}

interface TokenSourceOptions {
  credential: Credential
  /** For instance `https://api.securitycenter.microsoft.com/.default`. */
  scope: string
  clock: Pick<Clock, 'now'>
  /** How long one request for a token may take, in real time. */
  timeoutMs?: number
}

/** The SDK renews a token so long before its end, and so never keeps one that lives shorter. */
const SDK_MARGIN_MS = 5 * MINUTE_MS

/**
 * Makes the source of tokens for one scope; calls at the same time share one request. It throws ConfigError when the
 * operator must fix the identity, else UpstreamError of `entra`.
 */
export function createTokenSource({
  credential,
  scope,
  clock,
  timeoutMs = bounds.token.timeoutMs,
}: TokenSourceOptions): GetToken {
  const { address = 'the token endpoint' } = credential
  /** For half of its lifetime. */
  let short = { token: '', untilMs: 0 }
  const request = singleFlight(async (which: 'fresh' | 'any') => {
    const answer = await withTimeout(timeoutMs, address, (abortSignal) =>
      which === 'fresh' && credential.getNewToken
        ? credential.getNewToken(scope, { abortSignal })
        : credential.getToken(scope, { abortSignal }),
    )
    if (!answer) throw new ConfigError('identity', [noIdentity])
    const { token, expiresOnTimestamp: endMs } = answer
    const nowMs = clock.now().getTime()
    short = { token, untilMs: endMs - nowMs > SDK_MARGIN_MS ? 0 : (nowMs + endMs) / 2 }
    return token
  })
  return async ({ fresh = false } = {}) =>
    !fresh && clock.now().getTime() < short.untilMs ? short.token : request(fresh ? 'fresh' : 'any')
}

interface CredentialOptions {
  /** The client id of the app's managed identity. */
  clientId?: string
  /** The platform's endpoint for tokens of managed identities. */
  endpoint?: string
  /** The login host for developers. */
  authority?: string
}

/** The identity to sign in with: on the platform only the managed identity, elsewhere the developer's own sign-in. */
export function makeCredential({ clientId, endpoint, authority }: CredentialOptions): Credential {
  if (clientId && endpoint) {
    // The SDK waits 21 s in all for a route that is not there.
    const managed = new ManagedIdentityCredential({ clientId, retryOptions: { maxRetries: 1 } })
    const address = endpoint.replace(/[?#].*$/, '')
    return {
      address,
      getToken: (scope, options) =>
        managed.getToken(scope, options).catch((error) => throwNamed(error, address)),
      async getNewToken(scope, options) {
        // MSAL has one cache of managed-identity tokens for the process: a new credential would answer with the old
        // token, and the SDK passes no claims on. `forceRefresh` replaces the cached token.
        const app = new ManagedIdentityApplication({
          managedIdentityIdParams: { userAssignedClientId: clientId },
          system: { disableInternalRetries: true },
        })
        await app.acquireToken({ resource: String(scope), forceRefresh: true }).catch((cause) =>
          // The SDK wraps it in the same way.
          throwNamed(
            new CredentialUnavailableError('Managed identity: no new token', { cause }),
            address,
          ),
        )
        return managed.getToken(scope, options)
      },
    }
  }
  // Here each credential has its own cache, and a new one starts empty.
  const signIn = () =>
    new DefaultAzureCredential({ managedIdentityClientId: clientId, authorityHost: authority })
  let current = signIn()
  return {
    address: authority,
    getToken: (scope, options) => current.getToken(scope, options),
    getNewToken(scope, options) {
      current = signIn()
      return current.getToken(scope, options)
    },
  }
}

/** The SDK calls every answer that is not JSON a lost network, also that there is no such route. */
async function throwNamed(error: Error, address: string): Promise<never> {
  const isAnswered = causesOf(error).some(({ status }) => isStatus(status))
  const signal = AbortSignal.timeout(2000)
  const answer = isAnswered ? undefined : await fetch(address, { signal }).catch(() => undefined)
  throw answer?.status === 404 ? Object.assign(error, { status: 404 }) : error
}

async function withTimeout<T>(
  timeoutMs: number,
  address: string,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.timeout(timeoutMs)
  const late = () => failure(address, { reason: 'timeout', retryable: true })
  try {
    return await within(limit, request(limit), late)
  } catch (error) {
    throw error instanceof UpstreamError ? error : translate(error, address)
  }
}

const failure = (address: string, facts: Omit<UpstreamError['facts'], 'upstream' | 'call'>) =>
  new UpstreamError({ upstream: ENTRA, call: `token from ${address}`, ...facts })

/** The upstream in errors of tokens. */
export const ENTRA = 'entra'

/** Whether a message says that no token came. */
export const isTokenError = (message: string | undefined) => message?.startsWith(`${ENTRA}: `)

const wrong = (problem: string, fix?: string, setting = 'AZURE_CLIENT_ID'): SettingProblem => ({
  setting,
  problem,
  fix,
})
const noIdentity = wrong('is not set, or names no identity that may sign in here')
const refused = wrong('names an identity that is refused')

/** What final refusals mean. https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const refusals: Record<string, SettingProblem> = {
  AADSTS501051: wrong(
    'names an identity without any app role of the API',
    'Grant it the app roles that docs/deploy.md lists; AZURE_CLIENT_ID itself is right.',
  ),
  AADSTS500011: wrong(
    'or DEFENDER_CLOUD names an API that is not in this tenant',
    undefined,
    'DEFENDER_AUDIENCE',
  ),
  AADSTS700016: wrong('names no application of this tenant'),
  404: wrong(
    'is wrong',
    'The platform sets it: assign the identity to the function app, then restart the app.',
    'IDENTITY_ENDPOINT',
  ),
}

/** OAuth's error codes for a wrong identity or audience: no retry can succeed. */
const lastingCodes =
  /^(invalid_|unauthorized_client$|access_denied$|consent_required$|interaction_required$)/

function translate(error: unknown, address: string): Error {
  const chain = causesOf(error)
  const status = chain.map((cause) => cause.status).find(isStatus)
  const isTransient =
    status === 408 ||
    status === 429 ||
    (status ?? 0) >= 500 ||
    (status !== 404 && chain.some(({ name, code }) => isNetwork.test(name) || isNetwork.test(code)))
  const aadsts = /\bAADSTS\d+\b/.exec(chain.map(({ message }) => message).join(' '))?.[0]
  if (!isTransient) {
    if (aadsts || status !== undefined) {
      const { problem, ...known } = refusals[aadsts ?? String(status)] ?? refused
      const codes = [status, aadsts].filter(Boolean).join(' ')
      const named = { ...known, problem: `${problem} (${codes} from ${address})` }
      return new ConfigError('identity', [named])
    }
    if (chain.some(({ name, code }) => operatorNames.has(name) || lastingCodes.test(code)))
      return new ConfigError('identity', [noIdentity])
  }
  const said = redact(chain[0]?.message ?? '')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
  return failure(address, {
    code: aadsts ?? chain.map(({ code }) => code).find((code) => /^E[A-Z]{3,}$/.test(code)),
    reason: status === undefined ? 'network' : 'refused',
    retryable: isTransient,
    status,
    said: said || undefined,
  })
}

const isStatus = (status: unknown): status is number => typeof status === 'number' && status >= 100

/** Codes, and names of the errors of an answer that stalls. */
const isNetwork = /^(network_|E[A-Z]{3,}$|UND_ERR_|REQUEST_SEND_ERROR$|(?:Timeout|Abort)Error$)/

const operatorNames = new Set(['CredentialUnavailableError', 'AuthenticationRequiredError'])

/** The error and its causes: SDK and MSAL wrap each other's errors, with different names for the same facts. */
function causesOf(error: unknown) {
  const chain: { name: string; message: string; code: string; status: unknown }[] = []
  const open = [error]
  while (open.length > 0 && chain.length < 20) {
    const next = open.shift()
    if (!(next instanceof Error)) continue
    const facts = next as Error & Record<string, unknown>
    const oauth = facts.errorResponse as { error?: unknown } | undefined
    chain.push({
      name: next.name,
      message: next.message,
      code: String(facts.errorCode ?? oauth?.error ?? facts.code ?? ''),
      status: facts.statusCode ?? facts.status,
    })
    open.push(next.cause, ...(Array.isArray(facts.errors) ? facts.errors : []))
  }
  return chain
}

const textClaim = z.string().nullable().catch(null)
const claimsSchema = z.object({
  aud: textClaim,
  roles: z.array(z.string()).catch([]),
  /** Delegated permissions, separated by spaces. */
  scp: textClaim,
  /** The tenant's id. */
  tid: textClaim,
  /** The object id of the identity or user. */
  oid: textClaim,
  /** The client id of the app that requested the token. */
  appid: textClaim,
  exp: z
    .number()
    .transform((seconds) => new Date(seconds * 1000))
    .pipe(z.date())
    .nullable()
    .catch(null),
})

/** The claims of a token; null or empty when it has none. */
export type Claims = z.output<typeof claimsSchema>

/** Reads a token's claims without checking its signature: for reports, never for decisions about trust. */
export const readClaims = (token: string): Claims => claimsSchema.parse(payloadOf(token))

function payloadOf(token: string): object {
  try {
    const parsed: unknown = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
    )
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    // An opaque token.
    return {}
  }
}
