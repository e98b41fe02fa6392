import { deviceRoutes } from '../../shared/app/http.ts'
import { createQueries } from '../../shared/av-health/queries.ts'
import { avHealthRoutes } from '../../shared/av-health/routes.ts'
import { machineActions } from '../../shared/changes/resources/machine-actions.ts'
import { createStandings } from '../../shared/changes/standings.ts'
import { createFeed } from '../../shared/events/feed/feed.ts'
import type { ExportEngine } from '../../shared/exports/engine.ts'
import { RequestError } from '../../shared/platform/errors.ts'
import { readRequest } from '../../shared/platform/request.ts'
import type { Route } from '../../shared/platform/route.ts'

// biome-ignore lint/suspicious/noExplicitAny: every test reads other fields.
type Body = any

/** Asks the routes of the fleet over the tables of an engine, as the app would: `devices?name=pc`. */
export function createAsker(engine: ExportEngine) {
  const feed = createFeed(engine.table('Streams'))
  const deps = {
    engine,
    clock: engine.clock,
    fleet: async () => createQueries(engine),
    standings: async () => createStandings({ feed, resource: machineActions }),
    knownScans: async () => ({ complete: false, scans: [] }),
  }
  const routes = [...deviceRoutes, ...avHealthRoutes] as Route<unknown>[]

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
      const next = /^<\/api\/(.+)>; rel="next"$/.exec(headers?.link ?? '')?.[1]
      return { body, csv, next }
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      return { body: { status: error.facts.status, problem: error.facts.problem } }
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
