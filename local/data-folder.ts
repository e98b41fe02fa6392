import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import {
  type Azurite,
  DATA_ACCOUNT,
  newAccountKey,
  SECRETS_ACCOUNT,
  startAzurite,
} from './azurite.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'

const generatedTime = z.iso.datetime()
const storedSource = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('fleet'),
    size: z.int().min(1),
    generatedTime,
    /** How many days it has aged, for one that ages. */
    day: z.int().min(0).optional(),
  }),
  z.object({
    kind: z.literal('files'),
    /** Size and time: when one differs, the file has changed. */
    files: z.array(z.object({ path: z.string(), bytes: z.number(), changedMs: z.number() })).min(1),
    generatedTime,
  }),
  z.object({ kind: z.literal('upstream') }),
  z.object({ kind: z.literal('live') }),
])
/** The emulator's accounts, each with its member of the folder's keys. */
const accounts = { [DATA_ACCOUNT]: 'data', [SECRETS_ACCOUNT]: 'secrets' } as const
const accountKey = z.string().min(1).default(newAccountKey)

/** Raised when the app can't read what the version before has stored. */
const VERSION = 3
const storedState = z.object({
  version: z.int().optional(),
  keys: z.object({
    master: z.string().min(1),
    function: z.string().min(1),
    data: accountKey,
    secrets: accountKey,
  }),
  clockOffsetMs: z.number().min(0),
  source: storedSource.optional(),
  /** The callback URL of the built-in receiver's subscription. */
  callbackUrl: z.string().optional(),
})

/** Where the local devices come from. Another source is another fleet. */
export type Source = z.output<typeof storedSource>

/** What is stored in a data folder besides the emulator's files. */
export type LocalState = z.output<typeof storedState>

/** A data folder that this process has locked until it releases it. */
export interface DataFolder extends FolderLock {
  dir: string
  emulatorDir: string
  state: LocalState
  save(): void
  /** Holds the connection string of the data account while the emulator runs, for tools such as Storage Explorer. */
  connectionFile: string
  /** Starts the emulator on this folder, with a random key for each account. */
  startEmulator(): Promise<Azurite>
}

/** The entries of a data folder. A folder with other entries is shared with another use. */
const ours = /^(?:azurite$|(?:state|lock)\.json|storage-connection\.txt$)/

/**
 * Opens a data folder and closes it to other users; creates it when it is missing. Throws one sentence when it can't be used or
 * another process uses it.
 */
export async function openDataFolder(dir: string, signal?: AbortSignal): Promise<DataFolder> {
  const file = join(dir, 'state.json')
  const emulatorDir = join(dir, 'azurite')
  const connectionFile = join(dir, 'storage-connection.txt')
  try {
    makeFolder(dir)
    const lock = await lockFolder(dir, signal)
    try {
      makeFolder(emulatorDir)
      closeFolder(dir, ours)
      const state = readState(dir) ?? {
        version: VERSION,
        keys: {
          master: newKey(),
          function: newKey(),
          data: newAccountKey(),
          secrets: newAccountKey(),
        },
        clockOffsetMs: 0,
      }
      const save = () => {
        writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
        renameSync(`${file}.new`, file)
      }
      const startEmulator = async () => {
        // First stored, then used: other tools keep the key.
        save()
        const keys = Object.entries(accounts).map(([account, key]) => [account, state.keys[key]])
        const azurite = await startAzurite({
          dataDir: emulatorDir,
          accounts: Object.fromEntries(keys),
          onSpawn: lock.noteEmulator,
        })
        writeFileSync(connectionFile, `${azurite.connectionString()}\n`, { mode: FILE_MODE })
        const stop = () => {
          rmSync(connectionFile, { force: true })
          return azurite.stop()
        }
        return { ...azurite, stop }
      }
      return { ...lock, dir, emulatorDir, state, save, connectionFile, startEmulator }
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
  if (read.data.version !== VERSION)
    throw new Error(
      `The data folder ${dir} was made by another version of the app: delete it to start again, or choose another --data folder.`,
    )
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

/** The fleet of a data folder: the same one at every start. */
export const fleetOptions = ({ size, generatedTime, day }: FleetSource) => ({
  ...{ size, generatedTime, day },
  seed: 1,
})
export type FleetSource = Source & { kind: 'fleet' }

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/** Creates a folder and its parents for this user only; an existing one is not changed. Throws the system's error. */
export function makeFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return
  const above = dirname(dir)
  // Not Node's `recursive`: it never returns where no folder can be created, for example below /proc.
  if (above !== dir) makeFolder(above)
  try {
    mkdirSync(dir, { mode: FOLDER_MODE })
  } catch (error) {
    // Another start may have created it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(dir).isDirectory())
      throw error
  }
}

/**
 * Closes the entries of a folder that are `ours`, with everything in them, to other users. Closes the folder too when there is
 * nothing else in it.
 */
export function closeFolder(dir: string, ours: RegExp): void {
  const entries = readdirSync(dir, { withFileTypes: true })
  if (entries.every(({ name }) => ours.test(name))) setMode(dir, FOLDER_MODE)
  for (const entry of entries) {
    const path = join(dir, entry.name)
    if (!ours.test(entry.name)) continue
    if (entry.isDirectory()) closeFolder(path, /^/)
    else if (entry.isFile()) setMode(path, FILE_MODE)
  }
}

function setMode(path: string, mode: number): void {
  try {
    chmodSync(path, mode)
  } catch (error) {
    // Another user owns it, or the disk has no modes: the folder can still be used. Or it was deleted meanwhile.
    if (!/^(?:EPERM|ENOTSUP|ENOENT)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
