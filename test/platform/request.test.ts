import azure, { type HttpRequest } from '@azure/functions'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RequestError } from '../../shared/platform/errors.ts'
import { readRequest } from '../../shared/platform/request.ts'
import { defineRoute } from '../../shared/platform/route.ts'

const route = defineRoute<undefined>()({
  name: 'do-thing',
  method: 'POST',
  path: 'things/{id}',
  summary: 'Does a thing',
  params: z.strictObject({ id: z.string().max(5) }),
  query: z.strictObject({
    limit: z.string().optional(),
    id: z.array(z.string()).optional().meta({ many: true }),
  }),
  body: z.strictObject({
    name: z.string().optional(),
    sizes: z.array(z.strictObject({ w: z.int() })).optional(),
  }),
  answers: { 200: { description: 'Done.' } },
  handle: async () => ({ status: 200 }),
})
const bare = { ...route, params: z.strictObject({}), query: z.strictObject({}) }

interface Options {
  query?: string
  params?: Record<string, string>
  body?: string | Buffer
  headers?: Record<string, string>
}

const JSON_TYPE = { 'content-type': 'application/json' }

function request({ query = '', params = {}, body, headers = JSON_TYPE }: Options) {
  const url = `https://app.example.test/api/things/1${query}`
  return new azure.HttpRequest({
    method: 'POST',
    url,
    params,
    headers,
    ...(body === undefined ? {} : { body: { bytes: Buffer.from(body) } }),
  })
}

const read = (options: Options, publicBaseUrl?: string) =>
  readRequest(route, request({ params: { id: '1' }, ...options }), publicBaseUrl)

/** The facts of the refusal that must follow. */
async function refusal(options: Options) {
  const outcome = await read(options).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof RequestError) return outcome.facts
  throw new Error(`not refused: ${outcome}`)
}

const wrong = async (options: Options) =>
  (await refusal(options)).errors?.map(({ path, message }) => `${path} ${message}`)

describe('a good request', () => {
  test('is read by the schemas of its route', async () => {
    const input = await read({ query: '?limit=5', body: '{"name":"ä","sizes":[{"w":1}]}' })

    expect(input).toEqual({
      params: { id: '1' },
      query: { limit: '5' },
      body: { name: 'ä', sizes: [{ w: 1 }] },
      origin: 'https://app.example.test',
      ifNoneMatch: null,
    })
  })

  test('has the tags of `If-None-Match`', async () => {
    expect((await read({ headers: { 'if-none-match': '"a", W/"b"' } })).ifNoneMatch).toBe(
      '"a", W/"b"',
    )
  })

  test('has the origin that the operator gave', async () => {
    expect((await read({}, 'https://public.example.test')).origin).toBe(
      'https://public.example.test',
    )
  })

  test.each([undefined, '', '{}'])('may have the body %j: nothing is said', async (body) => {
    expect((await read(body === undefined ? {} : { body })).body).toEqual({})
  })

  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/cloudevents+json',
  ])('may have the content type %s', async (type) => {
    expect((await read({ body: '{"name":"x"}', headers: { 'content-type': type } })).body).toEqual({
      name: 'x',
    })
  })

  test('may have no content type', async () => {
    expect((await read({ body: '{"name":"x"}', headers: {} })).body).toEqual({ name: 'x' })
  })

  test.each(['?code=SECRET', '?CODE=SECRET', '?code=a&code=b'])(
    'may carry its key as %s',
    async (query) => {
      expect((await read({ query })).query).toEqual({})
    },
  )

  test('may repeat what is a list, or use commas, one value being a list too', async () => {
    expect((await read({ query: '?id=a&id=b,c' })).query).toEqual({ id: ['a', 'b', 'c'] })
    expect((await read({ query: '?id=a' })).query).toEqual({ id: ['a'] })
  })
})

describe('a host', () => {
  /** As it stands in the URL: the library refuses some of these before a route gets them. */
  const at = (host: string) => {
    const options = { url: `http://${host}/api`, params: {}, headers: new Headers() }
    return readRequest({ ...bare, body: undefined }, options as unknown as HttpRequest, undefined)
  }

  test.each([
    ['app.example.test', 'http://app.example.test'],
    ['APP_1.example.test:7071', 'http://app_1.example.test:7071'],
    ['a-b.example.test.', 'http://a-b.example.test.'],
    ['127.0.0.1:80', 'http://127.0.0.1'],
    ['[::1]:7071', 'http://[::1]:7071'],
  ])(
    'that is a name or an address is where answers say that the app is: %s',
    async (host, origin) => {
      expect((await at(host)).origin).toBe(origin)
    },
  )

  test.each([
    ...`"a 'a \`a {a} (a) a,b a;b a=b a&b a$b a!b a*b a+b a|b a^b a~ a<b <script>`.split(' '),
    ...'a%22b a%3Cb a%00b me@a me:pw@a a:port a:99999 a: [::1 [a] [::1]x / a\\ \u00e4 \u2028'.split(
      ' ',
    ),
    ...['', 'a b', 'a\tb', 'a\uff02b', '..', '-', '.', 'a..b', '-a', '.a', 'a.-b', '-:80'],
  ])('that is anything else is refused and not repeated: %j', async (host) => {
    const refused = await at(host).catch((error: unknown) => error)

    const wrong = [{ path: 'header.host', message: 'must be a host name' }]
    expect(refused).toBeInstanceOf(RequestError)
    expect((refused as RequestError).facts).toMatchObject({ status: 400, errors: wrong })
  })
})

describe('an optional member of a body that is null, empty text or an empty list', () => {
  test.each<[string, unknown]>([
    ['{"name":null,"sizes":null}', {}],
    ['{"name":"","sizes":[]}', {}],
    ['{"name":[],"sizes":""}', {}],
    ['{"name":"a","sizes":[{"w":1}]}', { name: 'a', sizes: [{ w: 1 }] }],
  ])('is absent: %s', async (body, expected) => {
    expect((await read({ body })).body).toEqual(expected)
  })

  test.each([
    ['{"sizes":[{"w":null}]}', 'body.sizes.0.w must be a number'],
    ['{"other":null}', 'body.other is unknown'],
    ['{"__proto__":null}', 'body.__proto__ is unknown'],
    ['{"toString":""}', 'body.toString is unknown'],
    ['{"constructor":null}', 'body.constructor is unknown'],
    ['[]', 'body must be an object'],
    ['null', 'body must be an object'],
    ['""', 'body must be an object'],
    ['{"name":{}}', 'body.name must be a string'],
  ])('is not: %s', async (body, message) => {
    expect(await wrong({ body })).toEqual([message])
  })
})

describe('a parameter', () => {
  test.each(['page=2', 'Limit=5', 'constructor=1', 'toString=1', '__proto__=1', 'hasOwnProperty='])(
    'that nobody declared is refused: %s',
    async (query) => {
      expect(await wrong({ query: `?${query}` })).toEqual([
        `query.${query.split('=')[0]} is unknown`,
      ])
    },
  )

  test('that stands twice is refused, not read as one with a comma', async () => {
    expect(await wrong({ query: '?limit=5&limit=6' })).toEqual([
      'query.limit is given more than once',
    ])
  })

  test.each(['a%2Fb', '%', 'a%'])('in the path with a percent sign is refused: %s', async (id) => {
    expect(await wrong({ params: { id } })).toEqual(['path.id must not contain %'])
  })

  test('in the path that its schema refuses has the same answer with a percent sign', async () => {
    expect(await wrong({ params: { id: 'SECRET' } })).toEqual(
      await wrong({ params: { id: 'a%2FSECRET' } }),
    )
  })

  test('in the path that its schema refuses is named', async () => {
    expect(await wrong({ params: { id: 'SECRET' } })).toEqual([
      expect.stringMatching(/^path\.id (?!.*SECRET)/),
    ])
  })
})

describe('a body', () => {
  test.each([
    ['{"name":"x","other":1}', ['body.other is unknown']],
    ['{"__proto__":{"name":1}}', ['body.__proto__ is unknown']],
    ['{"sizes":[{"w":1},{"w":2,"h":3}]}', ['body.sizes.1.h is unknown']],
    ['{', ['body is not JSON in UTF-8']],
    ['name=x', ['body is not JSON in UTF-8']],
  ])('%s is refused with what is wrong', async (body, errors) => {
    expect(await wrong({ body })).toEqual(errors)
  })

  test.each(['[]', 'null', '"text"', '5'])(
    '%s is refused, since an object is wanted',
    async (body) => {
      expect(await wrong({ body })).toEqual([expect.stringMatching(/^body /)])
    },
  )

  test('that is no UTF-8 is refused, not repaired', async () => {
    const body = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff]), Buffer.from('"}')])

    expect(await wrong({ body })).toEqual(['body is not JSON in UTF-8'])
  })

  test('with several mistakes gets all of them with their paths', async () => {
    const { status, problem, errors, detail } = await refusal({
      body: '{"name":5,"sizes":[{"w":"SECRET"}],"SECRET":1}',
    })

    expect([status, problem]).toEqual([400, 'invalid-request'])
    expect(errors?.map(({ path }) => path)).toEqual(['body.name', 'body.sizes.0.w', 'body.SECRET'])
    expect(errors?.map(({ message }) => message).join()).not.toContain('SECRET')
    expect(detail).toMatch(/^body\.name .*; body\.sizes\.0\.w .*; /)
  })

  test('with very many mistakes gets some of them, with long names cut', async () => {
    const body = JSON.stringify(
      Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`${n}`.padStart(800, 'x'), n])),
    )

    const { errors = [] } = await refusal({ body })

    expect(errors).toHaveLength(50)
    expect(Math.max(...errors.map(({ path }) => path.length))).toBeLessThan(120)
  })

  test.each<[string, Options]>([
    [
      'that says it is too large',
      { body: '{}', headers: { ...JSON_TYPE, 'content-length': String(256 * 1024 + 1) } },
    ],
    ['that is too large without saying so', { body: `{"name":"${'x'.repeat(256 * 1024)}"}` }],
  ])('%s is 413', async (_what, options) => {
    expect(await refusal(options)).toMatchObject({ status: 413, problem: 'body-too-large' })
  })

  test('of exactly the largest size is read', async () => {
    const body = '{}'.padEnd(256 * 1024)

    expect(
      (await read({ body, headers: { ...JSON_TYPE, 'content-length': String(body.length) } })).body,
    ).toEqual({})
  })

  test('that the platform dropped because it came in chunks is 411, not an empty one', async () => {
    const headers = { ...JSON_TYPE, 'transfer-encoding': 'chunked' }

    expect(await refusal({ headers })).toMatchObject({ status: 411, problem: 'length-required' })
    expect((await read({ headers, body: '{"name":"x"}' })).body).toEqual({ name: 'x' })
  })

  test.each([
    'text/plain',
    'application/xml',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json-seq',
  ])('of the type %s is 415', async (type) => {
    expect(await refusal({ body: '{}', headers: { 'content-type': type } })).toMatchObject({
      status: 415,
      problem: 'unsupported-media-type',
    })
  })

  test.each([
    'application/json; charset=utf-16',
    'application/json;charset="iso-8859-1"',
    'application/json; a=b; Charset=us-ascii',
    'application/json; charset=',
  ])('in another charset is 415 with a fix: %s', async (type) => {
    expect(await refusal({ body: '{}', headers: { 'content-type': type } })).toMatchObject({
      status: 415,
      problem: 'unsupported-media-type',
      detail: expect.stringContaining('charset'),
      fix: expect.stringContaining('UTF-8'),
    })
  })

  test.each(['gzip', 'deflate', 'br', 'identity, gzip', 'zip'])(
    'that is encoded as %s is 415',
    async (encoding) => {
      const headers = { ...JSON_TYPE, 'content-encoding': encoding }

      expect(await refusal({ body: '{}', headers })).toMatchObject({
        status: 415,
        detail: expect.stringContaining('Content-Encoding'),
        fix: expect.stringContaining('not compressed'),
      })
    },
  )

  test.each([
    { 'content-type': 'application/json;charset="UTF-8"' },
    { ...JSON_TYPE, 'content-encoding': 'identity' },
    { ...JSON_TYPE, 'content-encoding': '' },
  ])('that is plain UTF-8 and says so is read: %j', async (headers) => {
    expect((await read({ body: '{"name":"x"}', headers })).body).toEqual({ name: 'x' })
  })

  test('that is not there may have any type', async () => {
    expect(
      (await read({ headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' } })).body,
    ).toEqual({})
  })

  test('of a POST that takes none may be empty, and has no member', async () => {
    const { body: _body, ...plain } = bare
    const send = async (body?: string) =>
      (await readRequest(plain, request({ body }), undefined)).body

    expect([await send(), await send(''), await send('{}')]).toEqual([{}, {}, {}])
    await expect(send('{"x":1}')).rejects.toMatchObject({
      facts: { status: 400, errors: [{ path: 'body.x', message: 'is unknown' }] },
    })
  })

  test('of a DELETE is not looked at', async () => {
    const { body: _body, ...plain } = bare
    const url = 'https://app.example.test/api/things/1'
    const sent = new azure.HttpRequest({ method: 'DELETE', url, body: { string: 'anything' } })

    expect((await readRequest(plain, sent, undefined)).body).toEqual({})
  })
})

test('a route needs a key and takes no input by default', async () => {
  const plain = defineRoute<undefined>()({
    name: 'plain',
    method: 'GET',
    path: 'plain',
    summary: 'Plain',
    answers: {},
    handle: async () => ({ status: 204 }),
  })

  expect([
    plain.auth,
    Object.keys(plain.params.shape),
    Object.keys(plain.query.shape),
    plain.body,
  ]).toEqual(['function', [], [], undefined])
  await expect(readRequest(plain, request({ query: '?a=1' }), undefined)).rejects.toBeInstanceOf(
    RequestError,
  )
})

describe('the name of something unknown', () => {
  const long = 'n'.repeat(100)
  const url = 'https://a.contoso.net/hook?sig=canary'

  test.each([
    [{ body: JSON.stringify({ [long]: 1 }) }, `body.${long.slice(0, 40)} is unknown`],
    [{ body: JSON.stringify({ [url]: 1 }) }, 'body.… is unknown'],
    [{ body: '{"a.contoso.net/hook":1}' }, 'body.… is unknown'],
    [{ query: `?${long}=1` }, `query.${long.slice(0, 40)} is unknown`],
    [{ query: `?${url}` }, 'query.… is unknown'],
    [{ query: `?${url}&${url}` }, 'query.… is given more than once'],
  ])('is cut, and never a URL: %j', async (options, message) => {
    expect(await wrong(options)).toEqual([message])
  })
})
