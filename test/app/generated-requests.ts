import fc from 'fast-check'
import { type HttpRoute, httpRoutes } from '../../shared/app/http.ts'

/** A request as it is sent: the target as typed, so that no library tidies it up. */
export interface GeneratedRequest {
  route: string
  method: string
  target: string
  headers: Record<string, string>
  body?: string
}

/** What requests are made with: words that must come back in no answer, and ids that exist. */
export interface Material {
  key: string
  /** Stands in callback URLs, headers and queries. */
  canary: string
  ids: string[]
  callbackUrl: string
}

const odd = [
  '',
  '.',
  '..',
  '%',
  '%00',
  '%2F',
  '%2e%2e%2fadmin',
  "' or 1 eq 1",
  '"><script>',
  '\u0000',
  '\u2028',
  '😀'.slice(0, 1),
  '__proto__',
  'constructor',
  'null',
  'NaN',
  '-1',
  '0',
  '1e309',
  '9'.repeat(30),
  'a'.repeat(3000),
  '2026-11-28T10:00:00+01:00',
  '2026-13-41T99:99:99Z',
  'machine-actions',
  'investigations',
  'av-health',
  'true',
  'W/"x"',
  '[]',
  '{}',
]

/** Requests to a route, right and wrong in all their parts. */
export function generateRequests(
  route: HttpRoute,
  material: Material,
): fc.Arbitrary<GeneratedRequest> {
  const { key, canary, ids, callbackUrl } = material
  const text = fc.oneof(
    fc.constantFrom(...ids),
    fc.constantFrom(...odd),
    fc.string({ unit: 'binary', maxLength: 40 }),
  )
  /** Most requests are right in most parts: else none would pass the checks. */
  const param = (name: string) =>
    fc.oneof(
      {
        weight: 7,
        arbitrary: fc.constantFrom(
          ...(name === 'resource' ? ['machine-actions', 'investigations'] : ids),
        ),
      },
      { weight: 3, arbitrary: text },
    )
  const json = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }), fc.constant(callbackUrl))
  const names = [...new Set(httpRoutes.flatMap(({ route }) => Object.keys(route.query.shape)))]
  const members = [
    ...new Set(httpRoutes.flatMap(({ route }) => Object.keys(route.body?.shape ?? {}))),
    '__proto__',
    'unknown',
  ]
  const header = fc.oneof(
    fc.constantFrom(...odd.filter((one) => /^[\x20-\x7e]*$/.test(one))),
    fc.constant('application/json'),
  )
  return fc
    .record({
      method: fc.oneof(
        { weight: 9, arbitrary: fc.constant(route.method) },
        { weight: 1, arbitrary: fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'HEAD') },
      ),
      params: fc.tuple(
        ...[...route.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => param(name)),
      ),
      query: mostly(
        {},
        fc.dictionary(
          fc.oneof(
            fc.constantFrom(...[...Object.keys(route.route.query.shape), 'limit']),
            fc.constantFrom(...names, 'code', '__proto__'),
          ),
          text,
          { maxKeys: 3 },
        ),
      ),
      body: mostly(
        {},
        fc.oneof(
          fc.dictionary(
            fc.constantFrom(...Object.keys(route.route.body?.shape ?? {}), ...members),
            json,
            { maxKeys: 4 },
          ),
          fc.record({ callbackUrl: fc.constant(callbackUrl) }),
          fc.constant(undefined),
          fc.constantFrom('{', '[1,', '\ufeff{}', '"text"', '[]', 'null', '{"a":'.repeat(5000)),
        ),
      ),
      headers: mostly(
        {},
        fc.dictionary(
          fc.constantFrom('if-none-match', 'content-type', 'content-encoding', 'traceparent'),
          header,
          { maxKeys: 2 },
        ),
      ),
      key: fc.oneof(
        { weight: 9, arbitrary: fc.constant(key) },
        { weight: 1, arbitrary: fc.constantFrom('', 'wrong') },
      ),
    })
    .map(({ method, params, query, body, headers, key: sent }) => {
      let at = 0
      const path = route.path.replace(/\{\w+\}/g, () => encode(params[at++] ?? ''))
      const search = Object.entries(query)
        .map(([name, value]) => `${encode(name)}=${name === 'code' ? canary : encode(value)}`)
        .join('&')
      const hasBody = method === 'POST' || method === 'PUT'
      return {
        route: route.name,
        method,
        target: `/api/${path}${search && `?${search}`}`,
        headers: {
          'x-functions-key': sent,
          authorization: `Bearer ${canary}`,
          cookie: `session=${canary}`,
          ...(hasBody ? { 'content-type': 'application/json' } : {}),
          ...headers,
        },
        body: !hasBody || body === undefined ? undefined : bodyText(body),
      }
    })
}

const mostly = <Usual, Other>(usual: Usual, others: fc.Arbitrary<Other>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 4, arbitrary: others })

const bodyText = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body))

/** Percent-encodes what a request line can't hold; what looks encoded stays as it is. */
const encode = (text: string) =>
  [...text.toWellFormed()]
    .map((one) => (/[\w.~%'()*!-]/.test(one) ? one : encodeURIComponent(one)))
    .join('')
