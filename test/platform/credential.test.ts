import { inspect } from 'node:util'
import {
  AuthenticationError,
  CredentialUnavailableError,
  DefaultAzureCredential,
  ManagedIdentityCredential,
  type TokenCredential,
} from '@azure/identity'
import { expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createTokenSource, makeCredential } from '../../shared/platform/credential.ts'
import { ConfigError, UpstreamError } from '../../shared/platform/errors.ts'
import { json, scripted } from './http-script.ts'

const scope = 'https://api.example.invalid/.default'
const HOUR_MS = 3_600_000

/** A credential that gives `token-1`, `token-2` …, each an hour long. */
function countingCredential(clock = createAdjustableClock(), more: object = {}) {
  const asked: string[] = []
  const credential: TokenCredential = {
    async getToken(wanted) {
      asked.push(String(wanted))
      await new Promise((resolve) => setImmediate(resolve))
      return {
        token: `token-${asked.length}`,
        expiresOnTimestamp: clock.now().getTime() + HOUR_MS,
        ...more,
      }
    },
  }
  return { clock, asked, credential }
}

const sourceOf = (credential: TokenCredential, timeoutMs = 5000) =>
  createTokenSource({ credential, scope, clock: createAdjustableClock(), timeoutMs })

const failing = (error: unknown): TokenCredential => ({ getToken: () => Promise.reject(error) })

/** What asking for a token ends in. */
const failureOf = (credential: TokenCredential, timeoutMs?: number): Promise<unknown> =>
  sourceOf(credential, timeoutMs)
    .token()
    .catch((error: unknown) => error)

test('a token is kept until shortly before its end', async () => {
  const { clock, asked, credential } = countingCredential()
  const source = createTokenSource({ credential, scope, clock })

  const first = await source.token()
  clock.advance(HOUR_MS - 6 * 60_000)
  const same = await source.token()
  clock.advance(2 * 60_000)
  const next = await source.token()

  expect([first, same, next]).toEqual(['token-1', 'token-1', 'token-2'])
  expect(asked).toEqual([scope, scope])
})

test('a token is replaced as soon as its issuer advises it', async () => {
  const clock = createAdjustableClock()
  const { credential } = countingCredential(clock, {
    refreshAfterTimestamp: clock.now().getTime() + 1000,
  })
  const source = createTokenSource({ credential, scope, clock })

  const first = await source.token()
  clock.advance(1001)
  const next = await source.token()

  expect([first, next]).toEqual(['token-1', 'token-2'])
})

test('callers at the same moment share one request, also for a fresh token', async () => {
  const { asked, clock, credential } = countingCredential()
  const source = createTokenSource({ credential, scope, clock })

  const tokens = await Promise.all([source.token(), source.token(), source.token()])
  const fresh = await Promise.all([source.token({ fresh: true }), source.token({ fresh: true })])
  const kept = await source.token()

  expect(tokens).toEqual(['token-1', 'token-1', 'token-1'])
  expect(fresh).toEqual(['token-2', 'token-2'])
  expect(kept).toBe('token-2')
  expect(asked).toHaveLength(2)
})

test('a failed request is not kept', async () => {
  const { clock, credential } = countingCredential()
  let failures = 1
  const source = createTokenSource({
    scope,
    clock,
    credential: {
      getToken: async (wanted) => {
        if (failures-- > 0) throw new AuthenticationError(503, { error: 'temporarily_unavailable' })
        return credential.getToken(wanted)
      },
    },
  })

  const failed = await source.token().catch((error: unknown) => error)
  const token = await source.token()

  expect(failed).toBeInstanceOf(UpstreamError)
  expect(token).toBe('token-1')
})

test('a request that takes too long is a time-out', async () => {
  const error = await failureOf({ getToken: () => new Promise(() => {}) }, 50)

  expect((error as UpstreamError).facts).toMatchObject({
    upstream: 'entra',
    reason: 'timeout',
    retryable: true,
  })
})

test.each<[string, unknown]>([
  [
    'no identity at hand',
    new CredentialUnavailableError('EnvironmentCredential is unavailable: clientSecret=SECRET'),
  ],
  [
    'a wrong client id',
    new AuthenticationError(400, {
      error: 'unauthorized_client',
      error_description: 'AADSTS700016: Application SECRET was not found',
    }),
  ],
  [
    'a wrong audience',
    new AuthenticationError(400, {
      error: 'invalid_resource',
      error_description: 'AADSTS500011: SECRET',
    }),
  ],
  ['a platform that refuses the identity', miError({ errorCode: 'invalid_request', status: 400 })],
])('%s is for the operator, without what was said', async (_, thrown) => {
  const error = await failureOf(failing(thrown))

  expect(error).toBeInstanceOf(ConfigError)
  expect((error as ConfigError).problems[0]?.setting).toBe('AZURE_CLIENT_ID')
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SECRET')
})

test.each<[string, unknown, object]>([
  [
    'an outage',
    new AuthenticationError(503, '<html>busy</html>'),
    { status: 503, retryable: true, reason: 'refused' },
  ],
  [
    'too many requests',
    new AuthenticationError(429, { error: 'x' }),
    { status: 429, retryable: true },
  ],
  [
    'a lost network',
    miError({ errorCode: 'network_error' }),
    { retryable: true, reason: 'network' },
  ],
  [
    'a refused connection',
    miError({ code: 'ECONNREFUSED' }),
    { retryable: true, reason: 'network' },
  ],
  ['anything else', new Error('it broke with eyJSECRETa.eyJSECRETb.SECRETc'), { retryable: false }],
])('%s is told as a failure of entra, redacted', async (_, thrown, facts) => {
  const error = await failureOf(failing(thrown))

  expect(error).toBeInstanceOf(UpstreamError)
  expect((error as UpstreamError).facts).toMatchObject({
    upstream: 'entra',
    call: 'token',
    ...facts,
  })
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SECRET')
})

/** As the SDK wraps it: one kind outside for every failure of a managed identity, the facts behind it. */
function miError(facts: object): Error {
  const cause = Object.assign(new Error('behind'), facts)
  return new CredentialUnavailableError('ManagedIdentityCredential: Authentication failed.', {
    cause,
  })
}

// One test for both answers: the SDK remembers the first endpoint that it found for as long as the process lives.
test('on the platform its identity endpoint is asked for the named identity, and an unknown one is for the operator', async () => {
  const server = await scripted(
    json({ access_token: 'mi-token', expires_on: Math.floor(Date.now() / 1000) + 3600 }),
    {
      status: 400,
      body: '{"statusCode":400,"message":"No User Assigned Managed Identity found"}',
    },
  )
  // The SDK reads these two from the environment itself.
  process.env.IDENTITY_ENDPOINT = server.url('/msi/token').href
  process.env.IDENTITY_HEADER = 'header-secret'
  onTestFinished(() => {
    delete process.env.IDENTITY_ENDPOINT
    delete process.env.IDENTITY_HEADER
  })

  const known = makeCredential({ ...process.env, AZURE_CLIENT_ID: 'id-1' })
  const token = await sourceOf(known).token()
  const error = await failureOf(makeCredential({ ...process.env, AZURE_CLIENT_ID: 'id-2' }))

  expect(known).toBeInstanceOf(ManagedIdentityCredential)
  expect(token).toBe('mi-token')
  const asked = server.sent.map(({ path }) => new URL(path, server.url()).searchParams)
  expect(asked.map((query) => query.get('client_id'))).toEqual(['id-1', 'id-2'])
  expect(asked[0]?.get('resource')).toBe('https://api.example.invalid')
  expect(error).toBeInstanceOf(ConfigError)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('header-secret')
})

test('away from the platform the identity is that of the developer', () => {
  const withoutEndpoint = makeCredential(
    { AZURE_CLIENT_ID: 'id-1' },
    'https://login.microsoftonline.us',
  )
  const withoutId = makeCredential({
    IDENTITY_ENDPOINT: 'http://127.0.0.1:1',
    IDENTITY_HEADER: 'x',
  })

  expect(withoutEndpoint).toBeInstanceOf(DefaultAzureCredential)
  expect(withoutId).toBeInstanceOf(DefaultAzureCredential)
})
