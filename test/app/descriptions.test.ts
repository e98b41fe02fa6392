import { readFileSync } from 'node:fs'
import azure, { type InvocationContext } from '@azure/functions'
import type { DurableClient } from 'durable-functions'
import { afterEach, expect, test } from 'vitest'
import { httpRoutes } from '../../shared/app/http.ts'
import { useOverrides } from '../../shared/app.ts'

afterEach(() => useOverrides({}))

const names = ['openapi', 'swagger']

interface Asked {
  host?: string
  env?: Record<string, string>
  ifNoneMatch?: string
}

/** Asks for a description as the host would. */
async function ask(
  name: string,
  { host = 'relay.example.net', env = {}, ifNoneMatch }: Asked = {},
) {
  useOverrides({ env })
  const route = httpRoutes.find((one) => one.name === name)
  const request = new azure.HttpRequest({
    method: 'GET',
    url: `https://${host}/api/${route?.path}`,
    headers: ifNoneMatch ? { 'if-none-match': ifNoneMatch } : {},
  })
  const context: InvocationContext = new azure.InvocationContext({ functionName: name })
  const answer = await route?.answer(request, context, {} as DurableClient)
  const { etag = '' } = (answer?.headers ?? {}) as Record<string, string>
  return { status: answer?.status, etag, text: String(answer?.body ?? '') }
}

const committed = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../docs/${name}.json`, import.meta.url), 'utf8'))

const front = { PUBLIC_BASE_URL: 'https://front.example.net:8080/relay/' }

test.each<[Asked, url: string, host: string, basePath: string, scheme: string]>([
  [{}, 'https://relay.example.net/api', 'relay.example.net', '/api', 'https'],
  [{ host: '[::1]:7071' }, 'https://[::1]:7071/api', '[::1]:7071', '/api', 'https'],
  // As the library hands it over.
  [
    { host: 'äpp.example.net' },
    'https://xn--pp-uia.example.net/api',
    'xn--pp-uia.example.net',
    '/api',
    'https',
  ],
  [
    { env: front },
    'https://front.example.net:8080/relay/api',
    'front.example.net:8080',
    '/relay/api',
    'https',
  ],
])(
  'the committed descriptions are answered with the address of the app filled in: %j',
  async (asked, url, host, basePath, scheme) => {
    const [openapi, swagger] = await Promise.all(names.map((name) => ask(name, asked)))

    expect(JSON.parse(openapi?.text ?? '')).toEqual({ ...committed('openapi'), servers: [{ url }] })
    expect(JSON.parse(swagger?.text ?? '')).toEqual({
      ...committed('swagger'),
      host,
      basePath,
      schemes: [scheme],
    })
  },
)

test.each(names)(
  '%s is answered once to a caller that has it, and again at another address',
  async (name) => {
    const first = await ask(name)
    const again = await ask(name, { ifNoneMatch: `"other", W/${first.etag}` })
    const elsewhere = await ask(name, { host: 'other.example.net', ifNoneMatch: first.etag })

    expect([first.status, again.status, elsewhere.status]).toEqual([200, 304, 200])
    expect(again).toEqual({ status: 304, etag: first.etag, text: '' })
    expect(elsewhere.etag).not.toBe(first.etag)
  },
)

test('the two descriptions have different tags', async () => {
  const [openapi, swagger] = await Promise.all(names.map((name) => ask(name)))

  expect(openapi?.etag).toMatch(/^"[\da-f]{64}"$/)
  expect(openapi?.etag).not.toBe(swagger?.etag)
})

test.each(
  names.flatMap((name) =>
    ['"evil', "'evil", '{evil}', 'evil;x', 'evil%22'].map((host) => [name, host]),
  ),
)('%s is not answered to the host %s, which is not repeated', async (name = '', host = '') => {
  const { status, text } = await ask(name, { host })

  expect(status).toBe(400)
  expect(text).not.toContain('evil')
})
