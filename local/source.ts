import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { MINUTE_MS } from '../shared/platform/time.ts'
import type { Source } from './data-folder.ts'
import { LARGEST_FLEET, type StartOptions } from './options.ts'
import { openLines, readDiskFile } from './simulator/disk-file.ts'

const DEFAULT_FLEET = 5000
/** The emulator holds the changes and histories of each day beside the snapshots. */
const LARGEST_AGING = 20_000

/** What the choice depends on besides the command line. */
export interface Known {
  /** The source of the data folder until now. */
  before: Source | undefined
  present: Date
  /** The `generatedTime` of the published snapshot, where there is one. */
  published: string | null
}

type Asked = Pick<StartOptions, 'fleet' | 'files' | 'upstream'> &
  Partial<Pick<StartOptions, 'live' | 'days'>>

/** Decides where the devices come from: the data folder's source, unless another one is requested or a file has changed. */
export async function chooseSource(asked: Asked, known: Known): Promise<Source> {
  const { before } = known
  const { fleet, days } = asked
  if (asked.live) return { kind: 'live' }
  if (asked.upstream) return { kind: 'upstream' }
  const paths = pathsFor(asked, before)
  if (paths.length > 0) return chooseFiles(paths, known)
  const stored = before?.kind === 'fleet' ? before : undefined
  const size = fleet ?? stored?.size ?? DEFAULT_FLEET
  if (days !== undefined && size > LARGEST_AGING)
    throw new Error(`The storage emulator holds ${LARGEST_AGING} devices for --days: set --fleet.`)
  const ages = days !== undefined || (size === stored?.size && stored.day !== undefined)
  if (stored?.size === size && ages === (stored.day !== undefined)) return stored
  const generatedTime = nextGeneratedTime(known)
  return { kind: 'fleet', size, generatedTime, ...(ages && { day: 0 }) }
}

/** Throws one sentence when a data folder would hold real and simulated data together. */
export function refuseMixture({ live = false }: Asked, before: Source | undefined): void {
  if (before && live !== (before.kind === 'live')) {
    throw new Error(
      `This data folder holds ${live ? 'simulated' : 'real'} data: choose another --data.`,
    )
  }
}

/** Throws one sentence when a file to import can't be read. */
export function refuseUnreadable(asked: Asked, before: Source | undefined): void {
  for (const path of pathsFor(asked, before)) statFile(path)
}

function pathsFor({ fleet, files, upstream, live }: Asked, before: Source | undefined): string[] {
  const isAsked = files.length > 0 || fleet !== undefined || upstream !== undefined || live
  return isAsked || before?.kind !== 'files' ? files : before.files.map(({ path }) => path)
}

async function chooseFiles(paths: string[], known: Known): Promise<Source> {
  const files = paths.map(statFile)
  const { before } = known
  if (before?.kind === 'files' && JSON.stringify(before.files) === JSON.stringify(files))
    return before
  let rows = 0
  for (const { path } of files) rows += await countRows(path, LARGEST_FLEET - rows)
  if (rows > LARGEST_FLEET) {
    throw new Error(
      `The storage emulator holds about ${LARGEST_FLEET} devices and these files have more rows.`,
    )
  }
  return { kind: 'files', files, generatedTime: nextGeneratedTime(known) }
}

/** Whole minutes, as the service writes it. Later than the previous one: otherwise it would be the same or an older export. */
function nextGeneratedTime({ before, present, published }: Known): string {
  const earlier = [published, before && 'generatedTime' in before ? before.generatedTime : null]
  const laterMs = earlier.map((time) => (time ? Date.parse(time) + MINUTE_MS : 0))
  const wholeMs = Math.floor(Math.max(present.getTime(), ...laterMs) / MINUTE_MS) * MINUTE_MS
  return `${new Date(wholeMs).toISOString().slice(0, 19)}Z`
}

function statFile(path: string): { path: string; bytes: number; changedMs: number } {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (!found) throw new Error(`There is no file ${path}.`)
    if (!found.isFile()) throw new Error(`${path} is not a file.`)
    const file = openSync(path, 'r')
    try {
      readSync(file, Buffer.alloc(1))
    } finally {
      closeSync(file)
    }
    return { path, bytes: found.size, changedMs: found.mtimeMs }
  } catch (error) {
    throw asUnreadable(path, error)
  }
}

/** Number of rows of a file; stops counting above `max`. Throws one sentence for a file that holds no JSON. */
async function countRows(path: string, max: number): Promise<number> {
  let lines = 0
  try {
    const form = readDiskFile(path)
    if (form.rows) return form.rows.length
    for await (const chunk of openLines(path, form)) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1
      if (lines > max) break
    }
  } catch (error) {
    const { syscall, code } = error as NodeJS.ErrnoException
    // The import reports a file that is damaged inside; a file that can't be read is reported here.
    if (syscall || code === undefined) throw asUnreadable(path, error)
  }
  return lines
}

function asUnreadable(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  return syscall ? new Error(`${path} can't be read (${code}).`) : error
}
