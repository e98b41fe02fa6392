import { createReadStream, statSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { Source } from './data-folder.ts'
import { LARGEST_FLEET, type StartOptions } from './options.ts'

const DEFAULT_FLEET = 5000
const MINUTE_MS = 60_000

/** What a choice depends on besides the command line. */
export interface Known {
  /** What the data folder stood for until now. */
  before: Source | undefined
  present: Date
  /** The `generatedTime` of the published snapshot, where there is one. */
  published: string | null
}

/** Decides where the devices come from: what the data folder has, unless something else was asked for or a file has changed. */
export async function chooseSource(
  { fleet, files, upstream }: Pick<StartOptions, 'fleet' | 'files' | 'upstream'>,
  known: Known,
): Promise<Source> {
  const { before } = known
  if (upstream) return { kind: 'upstream' }
  if (files.length > 0) return chooseFiles(files, known)
  if (fleet === undefined && before?.kind === 'files') {
    return chooseFiles(
      before.files.map(({ path }) => path),
      known,
    )
  }
  if (before?.kind === 'fleet' && (fleet === undefined || fleet === before.size)) return before
  return { kind: 'fleet', size: fleet ?? DEFAULT_FLEET, generatedTime: nextGeneratedTime(known) }
}

async function chooseFiles(paths: string[], known: Known): Promise<Source> {
  const files = paths.map(lookAt)
  const { before } = known
  if (before?.kind === 'files' && JSON.stringify(before.files) === JSON.stringify(files)) return before
  let rows = 0
  for (const { path } of files) rows += await countLines(path, LARGEST_FLEET - rows)
  if (rows > LARGEST_FLEET) {
    throw new Error(`The storage emulator holds about ${LARGEST_FLEET} devices and these files have more rows.`)
  }
  return { kind: 'files', files, generatedTime: nextGeneratedTime(known) }
}

/** Whole minutes, as the service writes it; later than what came before, or it would be taken for the same or an older export. */
function nextGeneratedTime({ before, present, published }: Known): string {
  const earlier = [published, before && 'generatedTime' in before ? before.generatedTime : null]
  const laterMs = earlier.map((time) => (time ? Date.parse(time) + MINUTE_MS : 0))
  const wholeMs = Math.floor(Math.max(present.getTime(), ...laterMs) / MINUTE_MS) * MINUTE_MS
  return `${new Date(wholeMs).toISOString().slice(0, 19)}Z`
}

function lookAt(path: string): { path: string; bytes: number; changedMs: number } {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) throw new Error(`There is no file ${path}.`)
  if (!found.isFile()) throw new Error(`${path} is not a file.`)
  return { path, bytes: found.size, changedMs: found.mtimeMs }
}

/** Lines of a file, packed or not; stops counting once there are more than `most`. */
async function countLines(path: string, most: number): Promise<number> {
  let lines = 0
  const count = async (body: AsyncIterable<Buffer>) => {
    for await (const chunk of body) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1
      if (lines > most) return
    }
  }
  try {
    if (/\.gz$/i.test(path)) await pipeline(createReadStream(path), createGunzip(), count)
    else await pipeline(createReadStream(path), count)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // A file that is damaged inside is for the import to refuse; one that can't be read at all is not.
    if (code === 'EACCES' || code === 'EPERM') throw new Error(`${path} can't be read (${code}).`)
  }
  return lines
}
