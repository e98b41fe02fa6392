import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { inspect } from 'node:util'
import {
  AuthenticationError,
  CredentialUnavailableError,
  type TokenCredential,
} from '@azure/identity'
import { expect, onTestFinished, test } from 'vitest'
import {
  type Credential,
  createTokenSource,
  makeCredential,
} from '../../shared/platform/credential.ts'
import { ConfigError, UpstreamError } from '../../shared/platform/errors.ts'
import { json, scripted } from './http-script.ts'
import { createStillClock } from './still-clock.ts'

const scope = 'https://api.example.invalid/.default'

/** A credential without a cache that gives `token-1`, `token-2` … */
function countingCredential() {
  const asked: string[] = []
  const credential: TokenCredential = {
    async getToken(wanted) {
      const token = `token-${asked.push(String(wanted))}`
      await new Promise((resolve) => setImmediate(resolve))
      return { token, expiresOnTimestamp: Date.now() + 3_600_000 }
    },
  }
  return { asked, credential }
}

const sourceOf = (credential: Credential, timeoutMs = 300_000) =>
  createTokenSource({ credential, scope, timeoutMs, clock: createStillClock() })

const failing = (error: unknown): TokenCredential => ({ getToken: () => Promise.reject(error) })

/** The error of a request for a token. */
const failureOf = (credential: Credential, timeoutMs?: number): Promise<unknown> =>
  sourceOf(credential, timeoutMs)().catch((error: unknown) => error)

test('callers at the same moment share one request, also for a fresh token', async () => {
  const { asked, credential } = countingCredential()
  const token = sourceOf(credential)

  const tokens = await Promise.all([token(), token(), token()])
  const fresh = await Promise.all([token({ fresh: true }), token({ fresh: true })])
  const next = await token()

  expect(tokens).toEqual(['token-1', 'token-1', 'token-1'])
  expect(fresh).toEqual(['token-2', 'token-2'])
  // The credential has the cache.
  expect(next).toBe('token-3')
  expect(asked).toEqual([scope, scope, scope])
})

test('a token that lives shorter than the margin of the SDK is kept for half of its life', async () => {
  const clock = createStillClock()
  let requests = 0
  const credential: TokenCredential = {
    async getToken() {
      requests += 1
      return { token: `token-${requests}`, expiresOnTimestamp: clock.now().getTime() + 240_000 }
    },
  }
  const token = createTokenSource({ credential, scope, clock })

  const first = [await token(), await token()]
  const fresh = await token({ fresh: true })
  await clock.advance(119_000)
  const early = await token()
  await clock.advance(2000)
  const late = await token()

  expect(first).toEqual(['token-1', 'token-1'])
  expect([fresh, early, late]).toEqual(['token-2', 'token-2', 'token-3'])
})

test('a fresh token is not one that a request under way brings', async () => {
  const { credential } = countingCredential()
  const token = sourceOf(credential)

  const [any, fresh] = await Promise.all([token(), token({ fresh: true })])

  expect([any, fresh]).toEqual(['token-1', 'token-2'])
})

test('a failed request is not cached', async () => {
  const { credential } = countingCredential()
  let failures = 1
  const token = sourceOf({
    getToken: async (wanted) => {
      if (failures-- > 0) throw new AuthenticationError(503, { error: 'temporarily_unavailable' })
      return credential.getToken(wanted)
    },
  })

  const failed = await token().catch((error: unknown) => error)
  const second = await token()

  expect(failed).toBeInstanceOf(UpstreamError)
  expect(second).toBe('token-1')
})

test('a request that takes too long is a time-out', async () => {
  const error = await failureOf({ getToken: () => new Promise(() => {}) }, 50)

  expect((error as UpstreamError).facts).toMatchObject({
    upstream: 'entra',
    reason: 'timeout',
    retryable: true,
  })
})

test.each<[string, string, unknown]>([
  [
    'no identity at hand',
    'AZURE_CLIENT_ID is not set',
    new CredentialUnavailableError('EnvironmentCredential is unavailable: clientSecret=SECRET'),
  ],
  [
    'a wrong client id',
    'AZURE_CLIENT_ID names no application of this tenant (400 AADSTS700016 from https://login)',
    new AuthenticationError(400, {
      error: 'unauthorized_client',
      error_description: 'AADSTS700016: Application SECRET was not found',
    }),
  ],
  [
    'a wrong audience',
    'DEFENDER_AUDIENCE or DEFENDER_CLOUD names an API that is not in this tenant (400 AADSTS500011 from',
    new AuthenticationError(400, {
      error: 'invalid_resource',
      error_description: 'AADSTS500011: SECRET',
    }),
  ],
  [
    'an identity without a role',
    'AZURE_CLIENT_ID names an identity without any app role of the API (400 AADSTS501051 from https://login)',
    new AuthenticationError(400, {
      error: 'invalid_grant',
      error_description: 'AADSTS501051: SECRET is not assigned to a role',
    }),
  ],
  [
    'a refusal that is not known',
    'AZURE_CLIENT_ID names an identity that is refused (400 AADSTS53003 from https://login)',
    new AuthenticationError(400, {
      error: 'access_denied',
      error_description: 'AADSTS53003: SECRET is blocked',
    }),
  ],
  [
    'a platform that refuses the identity',
    'AZURE_CLIENT_ID names an identity that is refused (400 from https://login)',
    miError({ errorCode: 'invalid_request', status: 400 }),
  ],
  [
    'a platform without the route',
    'IDENTITY_ENDPOINT is wrong (404 from https://login)',
    miError({ errorCode: 'client_error', status: 404 }),
  ],
])('%s is for the operator, in words, without what was said', async (_, words, thrown) => {
  const error = await failureOf({ ...failing(thrown), address: 'https://login' })

  expect(error).toBeInstanceOf(ConfigError)
  expect((error as ConfigError).message).toContain(`identity: ${words}`)
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
  [
    'an answer that stalls',
    new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
    { retryable: true, reason: 'network' },
  ],
  [
    'an answer that breaks off',
    new TypeError('terminated', {
      cause: Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
    }),
    { retryable: true, reason: 'network' },
  ],
  ['anything else', new Error('it broke with eyJSECRETa.eyJSECRETb.SECRETc'), { retryable: false }],
])('%s is a redacted failure of entra', async (_, thrown, facts) => {
  const error = await failureOf({ ...failing(thrown), address: 'https://login' })

  expect(error).toBeInstanceOf(UpstreamError)
  expect((error as UpstreamError).facts).toMatchObject({
    upstream: 'entra',
    call: 'token from https://login',
    ...facts,
  })
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('SECRET')
})

/** As the SDK wraps it: one class for every failure of a managed identity, with the facts in its cause. */
function miError(facts: object): Error {
  const cause = Object.assign(new Error('behind'), facts)
  return new CredentialUnavailableError('ManagedIdentityCredential: Authentication failed.', {
    cause,
  })
}

/** Sets variables that the SDK reads from the environment itself. */
function setEnv(variables: Record<string, string>): void {
  const before = { ...process.env }
  Object.assign(process.env, variables)
  onTestFinished(() => {
    for (const name of Object.keys(variables)) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
}

// One test for all answers: the SDK remembers the first endpoint that it found until the process ends.
test('on the platform its identity endpoint gives tokens to the named identity, and a new token for `fresh`', async () => {
  const issued = (access_token: string) =>
    json({ access_token, expires_on: Math.floor(Date.now() / 1000) + 24 * 3600 })
  const unknown = {
    status: 400,
    body: '{"statusCode":400,"message":"No User Assigned Managed Identity found"}',
  }
  const gone = { status: 404, body: 'no such route' }
  const server = await scripted(
    issued('mi-1'),
    issued('mi-2'),
    issued('mi-3'),
    unknown,
    unknown,
    gone,
    gone,
    gone,
  )
  setEnv({ IDENTITY_ENDPOINT: server.url('/msi/token').href, IDENTITY_HEADER: 'header-secret' })
  const managed = (clientId: string) =>
    makeCredential({ clientId, endpoint: server.url('/msi/token').href })
  const token = sourceOf(managed('id-1'))

  const first = [await token(), await token()]
  const renewed = [await token({ fresh: true }), await token()]
  const again = [await token({ fresh: true }), await sourceOf(managed('id-1'))()]
  const errors = [
    await failureOf(managed('id-2')),
    await sourceOf(managed('id-2'))({ fresh: true }).catch((error: unknown) => error),
  ]

  const absent = await failureOf(managed('id-2'))

  expect(absent).toBeInstanceOf(ConfigError)
  expect((absent as ConfigError).message).toBe(
    `identity: IDENTITY_ENDPOINT is wrong (404 from ${server.url('/msi/token').href})`,
  )
  expect(first).toEqual(['mi-1', 'mi-1'])
  expect(renewed).toEqual(['mi-2', 'mi-2'])
  expect(again).toEqual(['mi-3', 'mi-3'])
  const asked = server.sent.map(({ path }) => new URL(path, server.url()).searchParams)
  const ids = ['id-1', 'id-1', 'id-1', 'id-2', 'id-2', 'id-2', 'id-2', null]
  expect(asked.map((query) => query.get('client_id'))).toEqual(ids)
  expect(new Set(asked.map((query) => query.get('resource')))).toEqual(
    // The last request only looks whether there is such a route.
    new Set(['https://api.example.invalid', null]),
  )
  for (const error of errors) {
    expect(error).toBeInstanceOf(ConfigError)
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('header-secret')
  }
})

test.each([
  { clientId: 'id-1', authority: 'https://login.microsoftonline.us' },
  { clientId: undefined, endpoint: 'http://127.0.0.1:1/msi/token' },
])('away from the platform the identity is that of the developer: %o', async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'az-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const log = join(folder, 'calls')
  const answer = JSON.stringify({ accessToken: 'az-token', expires_on: Date.now() / 1000 + 3600 })
  writeFileSync(join(folder, 'az'), `#!/bin/sh\necho "$@" >> '${log}'\necho '${answer}'\n`)
  chmodSync(join(folder, 'az'), 0o755)
  setEnv({
    AZURE_TOKEN_CREDENTIALS: 'AzureCliCredential',
    PATH: `${folder}${delimiter}${process.env.PATH}`,
  })
  const token = sourceOf(makeCredential(options), 60_000)

  const tokens = [await token(), await token({ fresh: true })]

  expect(tokens).toEqual(['az-token', 'az-token'])
  expect(readFileSync(log, 'utf8')).toMatch(/^(?:account get-access-token .*\n){2}$/)
})
