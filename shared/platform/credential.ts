import {
  CredentialUnavailableError,
  DefaultAzureCredential,
  ManagedIdentityCredential,
  type TokenCredential,
} from '@azure/identity'
import { ManagedIdentityApplication } from '@azure/msal-node'
import { z } from 'zod'
import { ConfigError, UpstreamError } from './errors.ts'
import { redact } from './redact.ts'
import { singleFlight } from './single-flight.ts'
import { MINUTE_MS } from './time.ts'

/** Resolves with a bearer token; `fresh` has its issuer asked for a new one, for use after a 401 or 403. */
export type GetToken = (options?: { fresh?: boolean }) => Promise<string>

/** Whom the app signs in as. The SDK keeps the tokens of its credentials, and renews them in time. */
export interface Credential extends TokenCredential {
  /** The same, but asks the issuer although a token is kept; absent where none is kept. */
  getNewToken?: TokenCredential['getToken']
}

export interface TokenSourceOptions {
  credential: Credential
  /** For instance `https://api.securitycenter.microsoft.com/.default`. */
  scope: string
  /** How long one request for a token may take, in real time. Default 60 s: the platform's own retries take 25 s. */
  timeoutMs?: number
}

/**
 * Makes the way to get tokens of one scope; callers at the same moment share one request. It throws ConfigError where
 * the operator has to fix the identity, else UpstreamError of `entra`.
 */
export function createTokenSource({
  credential,
  scope,
  timeoutMs = MINUTE_MS,
}: TokenSourceOptions): GetToken {
  const request = singleFlight(async (which: 'fresh' | 'any') => {
    const answer = await askWithin(timeoutMs, (abortSignal) =>
      which === 'fresh' && credential.getNewToken
        ? credential.getNewToken(scope, { abortSignal })
        : credential.getToken(scope, { abortSignal }),
    )
    if (!answer) throw noIdentity()
    return answer.token
  })
  return ({ fresh = false } = {}) => request(fresh ? 'fresh' : 'any')
}

export interface CredentialOptions {
  /** The client id of the identity that was assigned to the app. */
  clientId?: string
  /** The platform has an endpoint that gives tokens to the identities of the app. */
  hasEndpoint: boolean
  /** Where a developer signs in. */
  authority?: string
}

/**
 * The identity to sign in with: on the platform the managed identity with this client id alone; elsewhere whatever the
 * developer is signed in with.
 */
export function makeCredential({
  clientId,
  hasEndpoint,
  authority,
}: CredentialOptions): Credential {
  if (clientId && hasEndpoint) {
    const managed = new ManagedIdentityCredential({ clientId })
    return {
      getToken: (scope, options) => managed.getToken(scope, options),
      async getNewToken(scope, options) {
        // MSAL keeps the tokens of managed identities once for the whole process: a new credential would answer with the
        // old one, and the SDK passes no claims on. Asked like this it replaces what it keeps.
        const app = new ManagedIdentityApplication({
          managedIdentityIdParams: { userAssignedClientId: clientId },
        })
        await app.acquireToken({ resource: String(scope), forceRefresh: true }).catch((cause) => {
          // As the SDK wraps it.
          throw new CredentialUnavailableError('Managed identity: no new token', { cause })
        })
        return managed.getToken(scope, options)
      },
    }
  }
  // Here each credential keeps its own tokens, and a new one starts with none.
  const signIn = () =>
    new DefaultAzureCredential({ managedIdentityClientId: clientId, authorityHost: authority })
  let current = signIn()
  return {
    getToken: (scope, options) => current.getToken(scope, options),
    getNewToken(scope, options) {
      current = signIn()
      return current.getToken(scope, options)
    },
  }
}

async function askWithin<T>(
  timeoutMs: number,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const signal = AbortSignal.timeout(timeoutMs)
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener(
      'abort',
      () => reject(failure({ reason: 'timeout', retryable: true })),
      { once: true },
    )
  })
  try {
    return await Promise.race([ask(signal), late])
  } catch (error) {
    throw error instanceof UpstreamError ? error : translate(error)
  }
}

const failure = (facts: Omit<UpstreamError['facts'], 'upstream' | 'call'>) =>
  new UpstreamError({ upstream: 'entra', call: 'token', ...facts })

const noIdentity = (detail = '') =>
  new ConfigError('identity', [
    {
      setting: 'AZURE_CLIENT_ID',
      problem: `is not set, or leads to no identity that may sign in here${detail}`,
    },
  ])

/** OAuth's words for a request that stays wrong however often it is repeated: a wrong identity or a wrong audience. */
const lastingCodes =
  /^(invalid_|unauthorized_client$|access_denied$|consent_required$|interaction_required$)/

function translate(error: unknown): Error {
  const chain = causesOf(error)
  const status = chain.map(statusOf).find((found) => found !== undefined)
  const isPassing =
    status === 408 || status === 429 || (status ?? 0) >= 500 || chain.some(isNetworkFailure)
  if (!isPassing) {
    const isOperators = chain.some(
      ({ name, code }) => operatorNames.has(name) || lastingCodes.test(code),
    )
    const aadsts = /\bAADSTS\d+\b/.exec(chain.map(({ message }) => message).join(' '))?.[0]
    if (isOperators) return noIdentity(aadsts && ` (${aadsts})`)
  }
  const said = redact(chain[0]?.message ?? '')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
  return failure({
    reason: status === undefined ? 'network' : 'refused',
    retryable: isPassing,
    ...(status !== undefined && { status }),
    ...(said && { said }),
  })
}

const operatorNames = new Set(['CredentialUnavailableError', 'AuthenticationRequiredError'])

interface Cause {
  name: string
  message: string
  code: string
  status: unknown
}

/** The error and what lies behind it: SDK and MSAL wrap one another, each with names of its own for the same facts. */
function causesOf(error: unknown): Cause[] {
  const chain: Cause[] = []
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

const statusOf = ({ status }: Cause) =>
  typeof status === 'number' && status >= 100 ? status : undefined

const isNetworkFailure = ({ code }: Cause) =>
  /^(network_|E[A-Z]{3,}$|REQUEST_SEND_ERROR$)/.test(code)

/** What a token says about itself; null and empty where it says nothing. */
export interface Claims {
  aud: string | null
  roles: string[]
  /** Delegated permissions, separated by blanks. */
  scp: string | null
  /** The tenant's id. */
  tid: string | null
  /** The object id of whom it stands for: an identity or a user. */
  oid: string | null
  /** The client id of the app that asked for it. */
  appid: string | null
  exp: Date | null
}

const Payload = z.object({
  aud: z.string().nullable().catch(null),
  roles: z.array(z.string()).catch([]),
  scp: z.string().nullable().catch(null),
  tid: z.string().nullable().catch(null),
  oid: z.string().nullable().catch(null),
  appid: z.string().nullable().catch(null),
  exp: z.number().nullable().catch(null),
})

/** Reads a token's claims without checking its signature: for reports, never for decisions about trust. */
export function readClaims(token: string): Claims {
  const { exp, ...claims } = Payload.parse(payloadOf(token))
  const at = new Date((exp ?? Number.NaN) * 1000)
  return { ...claims, exp: Number.isNaN(at.getTime()) ? null : at }
}

function payloadOf(token: string): object {
  try {
    const parsed: unknown = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
    )
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    // An opaque token: it says nothing.
    return {}
  }
}
