import { RequestError } from '../shared/platform/errors.ts'
import { readRequest } from '../shared/platform/request.ts'
import type { Route } from '../shared/platform/route.ts'

// biome-ignore lint/suspicious/noExplicitAny: every test reads other fields.
type Body = any

/** The path of the next page in a header `Link`. */
export const nextOf = (link: string | null | undefined) =>
  /^<\/api\/(.+)>; rel="next"$/.exec(link ?? '')?.[1]

/** Asks routes without a host, by their paths: `devices?name=pc`. */
export function askRoutes<Deps>(routes: Route<Deps>[], deps: Deps) {
  /** The body of a 200, or the status and the type of the problem. */
  async function ask(path: string): Promise<{ body: Body; csv?: string; next?: string }> {
    const url = new URL(`http://relay.example/api/${path}`)
    const parts = url.pathname.split('/').slice(2)
    const route = routes.find(({ method, path }) => {
      const names = path.split('/')
      return (
        method === 'GET' &&
        names.length === parts.length &&
        names.every((name, n) => name.startsWith('{') || name === parts[n])
      )
    })
    if (!route) throw new Error(`no route ${path}`)
    const names = route.path.split('/')
    const params = Object.fromEntries(
      names.flatMap((name, n) => (name.startsWith('{') ? [[name.slice(1, -1), parts[n]]] : [])),
    )
    const request = {
      ...{ method: 'GET', url: url.href, params },
      headers: new Headers(),
      arrayBuffer: async () => new ArrayBuffer(0),
    }
    try {
      const input = await readRequest(route, request as never, undefined)
      const { body, csv, headers } = await route.handle(input, deps)
      return { body, csv, next: nextOf(headers?.link) }
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      const { status, problem, detail } = error.facts
      return { body: { status, problem, detail } }
    }
  }

  /** All entries of a list, page by page. */
  async function askAll(path: string, member: string): Promise<Body[]> {
    const entries: Body[] = []
    for (let next: string | undefined = path; next; ) {
      const answer = await ask(next)
      if (answer.body.status) throw new Error(JSON.stringify(answer.body))
      entries.push(...answer.body[member])
      next = answer.next
    }
    return entries
  }

  return { ask, askAll }
}
