import { nextOf } from '../ask-routes.ts'
import { keysOf, type Launched, pause } from './launch.ts'

/** Statuses of the refusals that callers must expect: each is a problem with its type. */
const REFUSALS = [409, 410, 503]

// biome-ignore lint/suspicious/noExplicitAny: each route has other fields.
type Body = any

interface Page {
  status: number
  /** A page of CSV is its text. */
  body: Body
  next: string | undefined
}

/** Calls for the routes of the fleet, over HTTP: `app` says which start is asked now. */
export function createFleetReaders(folder: string, app: () => Launched) {
  /** Only a start that is killed may leave a request without its answer: then the next start is asked. */
  async function get(path: string): Promise<Page> {
    for (;;) {
      const asked = app()
      try {
        const headers = { 'x-functions-key': keysOf(folder).function }
        const response = await fetch(`${await asked.url}/api/${path}`, { headers })
        const text = await response.text()
        const type = response.headers.get('content-type') ?? ''
        const isProblem = type.startsWith('application/problem+json')
        if (!response.ok && !isProblem)
          throw new Error(`${path} answered ${response.status}: ${text}`)
        return {
          status: response.status,
          body: type.includes('json') ? JSON.parse(text) : text,
          next: nextOf(response.headers.get('link')),
        }
      } catch (error) {
        if (!asked.child.killed) throw error
        await pause(20)
      }
    }
  }

  /** What a path says of the fleet, with all pages of a list; undefined when it is refused. */
  async function ask(path: string): Promise<unknown> {
    const pages: Body[] = []
    for (let next: string | undefined = path; next; ) {
      const page = await get(next)
      const { status, body } = page
      if (REFUSALS.includes(status)) return undefined
      if (status !== 200) return { status, type: body.type }
      pages.push(body)
      next = page.next
    }
    return typeof pages[0] === 'string' ? wholeCsv(pages) : whole(path, pages)
  }

  return {
    /** What each path says while nothing happens. */
    async askAll(paths: string[]) {
      const all: Record<string, unknown> = {}
      for (const path of paths) while (all[path] === undefined) all[path] = await ask(path)
      return all
    },

    /** Asks one path after the other, from the `from`-th on, with a pause after each; `stop` answers all that was said. */
    begin(paths: string[], from: number, pauseMs: number) {
      const seen: Record<string, unknown>[] = []
      let isStopped = false
      const asking = (async () => {
        for (let n = from; !isStopped; n++) {
          const path = paths[n % paths.length] ?? ''
          const said = await ask(path)
          if (said !== undefined) seen.push({ [path]: said })
          await pause(pauseMs)
        }
      })()
      // It is awaited at the end.
      asking.catch(() => {})
      return async () => {
        isStopped = true
        await asking
        return seen
      }
    },
  }
}

/** The rows of all pages, each page's header once. */
function wholeCsv(pages: string[]): string {
  const header = pages[0]?.split('\r\n', 1)[0] ?? ''
  return pages.map((page, n) => (n === 0 ? page : page.slice(header.length + 2))).join('')
}

/**
 * All pages as one answer. How many rows were read, where pages end, and what polls and the time of day say is no part
 * of what is said of the fleet.
 */
function whole(path: string, pages: Body[]): unknown {
  const [first] = pages
  if (path.startsWith('av-health/trend'))
    return first.days.flatMap(({ partial: _, ...point }: Body) => (point.runId ? point : []))
  if (path === 'overview') return first.fleet && first.runs ? ofOverview(first) : undefined
  if (first.avHealth) return [first.computerDnsName, first.avHealth]
  const member = Object.keys(first).find((name) => Array.isArray(first[name])) ?? ''
  const others = pages.map(({ scanned: _, next: _next, [member]: _rows, ...rest }) =>
    JSON.stringify(rest),
  )
  return { said: [...new Set(others)], rows: pages.flatMap((page) => page[member] ?? []) }
}

/** The fleet of the first screen, and whether what it says of runs is of the same one. */
function ofOverview({ fleet, runs: { current, lastRun } }: Body) {
  const isPublished = lastRun.state === 'published'
  const isOne = current.runId === fleet.snapshot.runId
  return { fleet, isOne: isOne && (lastRun.runId === current.runId) === isPublished }
}
