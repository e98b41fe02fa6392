import { posix } from 'node:path'
import { isDeployed, type Source } from './house-source.ts'

/** What the product of the house's second edition may have, in characters. */
const edition = 550_000
/** What each feature since then has added, in characters: none grows unseen, and none may use what another one leaves. */
const features = {
  'true answers about changes': 14_000,
  'true answers about exports, publishing on request': 17_200,
  'bounds, time limits of storage, named faults': 9_500,
  'tickets and subscriptions that stay true': 10_000,
  'one sender a subscription, events about subscriptions': 5_300,
  'pauses that are shown, requests at once that join': 2_600,
  'batches written by hand, rows read without an await, merge joins': 24_200,
  'no request for what is dispatched': 100,
  'cached answers sent as they are, fewer comparisons of times': 2_200,
  'tokens and budgets whose answer stalls': 400,
  'problems with codes and causes, one deadline, gaps': 18_200,
  'secrets apart from the data': 13_200,
  'snapshots compared: transitions, conditions, names, histories, counts, their events': 58_100,
  'standing of devices, routes of the fleet, CSV, overview': 70_200,
  'known scans and last events of a device, answers and lists of one run': 7_900,
  'the page, tools for assistants, which refuse what they do not take': 18_000,
  'snapshots as Parquet files, runs by state and time': 21_700,
  'subscriptions that are operated, sinks by identity': 45_800,
  'the devices behind each number of the fleet, an overview with types': 1_500,
  'kinds of events and their schemas, waits that fail': 4_600,
  'partitions by the beginning of an id, fewer pieces of a row': 400,
  'reasons of failed runs that name the cause, waits that say for what': 2_450,
  'conditions of two snapshots are enough': 800,
  'thresholds and conditions in answers about a snapshot, histories that are not known': 1_300,
}

/** What the house may be at most. */
export const limits = {
  /** In what is deployed. */
  files: 165,
  characters: Object.values(features).reduce((sum, added) => sum + added, edition),
  /** In one file, at this width. */
  lines: 300,
  lineWidth: 100,
  /** Deployed files whose only importer sits in the same folder: they could stand in that file. */
  singleUse: 12,
} as const

/** A way through the code that a reader follows, and how many files it may take. */
export interface Walk {
  name: string
  /** The files that hold the steps of the flow. */
  from: string[]
  /** Files that the flow does not pass, though one of its files imports them. */
  past?: string[]
  /** Files that are on the way without what they import. */
  alone?: string[]
  max?: number
}

/**
 * The walks that are counted. A walk begins at the files that hold the flow's steps, and its files are these and all
 * that they import, directly or not; type imports count, since a contract is read as well. It goes past the files that
 * are named with it, together with what only these import. Rooms to the left of its first file can't be on it: they
 * only put parts together, and arrows never go left.
 *
 * The first edition (220 files) took 62, 34 and 46 files for the first three.
 */
export const walks: Walk[] = [
  {
    name: 'page → webhook',
    from: [
      'shared/upstreams/defender.ts',
      'shared/changes/poll.ts',
      'shared/events/delivery/dispatch.ts',
      'shared/events/delivery/deliver.ts',
    ],
    // Read only for the words of a refusal; what holds on a device, which no webhook gets; services that get no webhook.
    past: [
      'shared/upstreams/limits-and-roles.ts',
      'shared/changes/standing.ts',
      'shared/events/delivery/sinks/index.ts',
    ],
    // Three more: who may get a key or token, what an answer may show, what an outcome is.
    max: 44,
  },
  {
    name: 'export link → row',
    from: [
      'shared/exports/import.ts',
      'shared/upstreams/export-file.ts',
      'shared/av-health/record.ts',
    ],
    // Downloads have no call budget.
    past: ['shared/platform/budget.ts'],
    max: 26,
  },
  {
    name: 'Tenable look-up',
    from: ['shared/scan-history/routes/tenable.ts', 'shared/scan-history/sources/tenable.ts'],
    // Of an answer, only which hosts it names is recorded there, for the answers about devices.
    past: ['shared/upstreams/limits-and-roles.ts', 'shared/scan-history/hosts.ts'],
    max: 32,
  },
  {
    // SCAN_CACHE_DAYS, from the environment to the time that an answer is kept.
    name: 'setting → use',
    from: ['shared/app/sections/scan-history.ts'],
    // Hands over the environment; the other parts that it makes are not on the way.
    past: ['shared/app/sections/base.ts'],
  },
  {
    name: 'request → log line',
    from: [
      'shared/platform/log.ts',
      'shared/platform/request.ts',
      'shared/platform/reply.ts',
      'shared/platform/error-responses.ts',
    ],
    // Its part that binds a route is read; it imports every route of the app.
    alone: ['shared/app/http.ts'],
  },
]

/** The figures of what is deployed. */
export function measure(all: Source[]) {
  const sources = all.filter(({ path }) => isDeployed(path))
  const graph = graphOf(sources)
  return {
    files: sources.length,
    characters: sources.reduce((sum, { characters }) => sum + characters, 0),
    longest: sources.map(({ path, lines }) => ({ path, lines })).sort((a, b) => b.lines - a.lines),
    circles: circlesOf(graph),
    singleUse: singleUseOf(graph),
  }
}

/** The files on a walk. Throws when a file that the walk names is not there any more. */
export function walkFiles(all: Source[], { name, from, past = [], alone = [] }: Walk): string[] {
  const graph = graphOf(all.filter(({ path }) => isDeployed(path)))
  const gone = [...from, ...past, ...alone].filter((path) => !graph.has(path))
  if (gone.length > 0) throw new Error(`the walk "${name}" names files that are not there: ${gone}`)
  for (const path of past) graph.delete(path)
  return [
    ...new Set([...alone, ...from, ...from.flatMap((path) => [...reachable(graph, path)])]),
  ].sort()
}

/** The files that a file imports, by its path. */
type Graph = Map<string, Set<string>>

function graphOf(sources: Source[]): Graph {
  const paths = new Set(sources.map(({ path }) => path))
  return new Map(
    sources.map(({ path, imports }) => {
      const targets = imports.map(({ from }) => posix.join(posix.dirname(path), from))
      return [path, new Set(targets.filter((target) => paths.has(target)))]
    }),
  )
}

/** All that a file imports, directly or not; the file itself only where it stands in a circle. */
function reachable(graph: Graph, start: string): Set<string> {
  const found = new Set<string>()
  const open = [start]
  for (let path = open.pop(); path !== undefined; path = open.pop())
    for (const target of graph.get(path) ?? [])
      if (graph.has(target) && !found.has(target)) {
        found.add(target)
        open.push(target)
      }
  return found
}

/** Groups of files of which each imports all others, directly or not. */
function circlesOf(graph: Graph): string[][] {
  const reach = new Map([...graph.keys()].map((path) => [path, reachable(graph, path)]))
  const groups = [...reach].flatMap(([path, targets]) =>
    targets.has(path)
      ? [
          [...targets]
            .filter((target) => reach.get(target)?.has(path))
            .sort()
            .join(' '),
        ]
      : [],
  )
  return [...new Set(groups)].map((group) => group.split(' '))
}

/** Files whose only importer sits in the same folder; members of a list are not among them. */
function singleUseOf(graph: Graph): string[] {
  return [...graph.keys()].filter((path) => {
    const [importer, ...others] = [...graph].flatMap(([from, targets]) =>
      targets.has(path) ? [from] : [],
    )
    return (
      importer !== undefined &&
      others.length === 0 &&
      posix.dirname(importer) === posix.dirname(path) &&
      posix.basename(importer) !== 'index.ts'
    )
  })
}
