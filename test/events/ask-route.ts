import azure from '@azure/functions'
import { expect } from 'vitest'
import { z } from 'zod'
import { toProblem } from '../../shared/platform/error-responses.ts'
import { toResponse } from '../../shared/platform/reply.ts'
import { readRequest } from '../../shared/platform/request.ts'
import type { Route } from '../../shared/platform/route.ts'

export const ORIGIN = 'https://relay.contoso.net'

export interface Answer<Body> {
  status: number
  headers: Record<string, string>
  text: string
  body: Body
}

/** Sends a request to the route of this method and path, and checks the answer with the route's own schema. */
export async function askRoute<Deps, Body>(
  routes: Route<Deps>[],
  deps: Deps,
  method: string,
  path: string,
  sent?: unknown,
  ifNoneMatch?: string,
): Promise<Answer<Body>> {
  const url = new URL(`/api/${path}`, ORIGIN)
  const segments = url.pathname.split('/').slice(2)
  const found = routes.flatMap((route) => {
    const pattern = route.path.split('/')
    const fits =
      route.method === method &&
      pattern.length === segments.length &&
      pattern.every((part, index) => part.startsWith('{') || part === segments[index])
    const names = pattern.flatMap((part, index) =>
      part.startsWith('{') ? [[part.slice(1, -1), segments[index]]] : [],
    )
    return fits
      ? [{ route, params: z.record(z.string(), z.string()).parse(Object.fromEntries(names)) }]
      : []
  })
  const [{ route, params }] = z
    .tuple([z.custom<(typeof found)[number]>()])
    .rest(z.unknown())
    .parse(found)
  const body = sent === undefined ? {} : { body: { string: JSON.stringify(sent) } }
  const headers = {
    'content-type': 'application/json',
    ...(ifNoneMatch && { 'if-none-match': ifNoneMatch }),
  }
  const request = new azure.HttpRequest({ method, url: url.href, params, headers, ...body })
  const response = await readRequest(route, request, ORIGIN)
    .then((input) => route.handle(input, deps))

    .then(
      (reply) => toResponse(reply),
      (error: unknown) => {
        const problem = toProblem(error, 'invocation', 'correlation')
        if (problem) return problem
        throw error
      },
    )
  const text = typeof response.body === 'string' ? response.body : ''
  const status = response.status ?? 0
  const parsed: Body = JSON.parse(text || 'null')
  if (status < 300) expect(route.answers[status]?.body?.safeParse(parsed).error).toBeUndefined()
  return {
    status,
    headers: z.record(z.string(), z.string()).parse(response.headers ?? {}),
    text,
    body: parsed,
  }
}
