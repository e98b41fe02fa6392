import { randomBytes } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { closeFolder, makeFolder } from './private-folder.ts'

const generatedTime = z.iso.datetime()
const storedSource = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('fleet'), size: z.int().min(1), generatedTime }),
  z.object({
    kind: z.literal('files'),
    /** What tells whether a file has changed. */
    files: z.array(z.object({ path: z.string(), bytes: z.number(), changedMs: z.number() })).min(1),
    generatedTime,
  }),
  z.object({ kind: z.literal('upstream') }),
  z.object({ kind: z.literal('live') }),
])
const storedState = z.object({
  keys: z.object({ master: z.string().min(1), function: z.string().min(1) }),
  clockOffsetMs: z.number().min(0),
  source: storedSource.optional(),
  /** Where the host serves while it does. */
  url: z.string().optional(),
  /** What the built-in receiver was subscribed with. */
  callbackUrl: z.string().optional(),
})

/** Where the local devices come from; another one is another fleet. */
export type Source = z.output<typeof storedSource>

/** What a data folder keeps besides the emulator's files. */
export type LocalState = z.output<typeof storedState>

/** A data folder that belongs to this process until it is released. */
export interface DataFolder extends FolderLock {
  dir: string
  emulatorDir: string
  state: LocalState
  save(): void
}

/** What a data folder may hold; a folder with other things in it belongs to somebody else, too. */
const ours = /^(?:azurite$|(?:state|lock)\.json)/

/**
 * Opens a data folder, made when it is not there and closed to other users; throws a sentence when it can't be used or
 * another process uses it.
 */
export async function openDataFolder(dir: string, signal?: AbortSignal): Promise<DataFolder> {
  const file = join(dir, 'state.json')
  const emulatorDir = join(dir, 'azurite')
  try {
    makeFolder(dir)
    const lock = await lockFolder(dir, signal)
    try {
      makeFolder(emulatorDir)
      closeFolder(dir, ours)
      const state = readState(dir) ?? {
        keys: { master: newKey(), function: newKey() },
        clockOffsetMs: 0,
      }
      const save = () => {
        writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
        renameSync(`${file}.new`, file)
      }
      return { ...lock, dir, emulatorDir, state, save }
    } catch (error) {
      lock.release()
      throw error
    }
  } catch (error) {
    throw asUnusable(dir, error)
  }
}

/** The state of a data folder, without claiming it; undefined for a folder that was never used, throws for a broken one. */
export function readState(dir: string): LocalState | undefined {
  const file = join(dir, 'state.json')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw asUnusable(dir, error)
  }
  const broken = new Error(`${file} is broken: delete it, or choose another --data folder.`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw broken
  }
  const read = storedState.safeParse(value)
  if (!read.success) throw broken
  return read.data
}

const newKey = () => randomBytes(24).toString('base64url')

function asUnusable(dir: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  return syscall
    ? new Error(
        `The data folder ${dir} can't be used (${code} at ${syscall}): choose another --data.`,
      )
    : error
}

/** The fleet that a data folder stands for: the same one at every start. */
export const fleetOptions = ({ size, generatedTime }: { size: number; generatedTime: string }) => ({
  size,
  generatedTime,
  seed: 1,
})
