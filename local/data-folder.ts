import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where the local devices come from; another one is another fleet. */
export type Source =
  | { kind: 'fleet'; size: number; generatedTime: string }
  | { kind: 'files'; files: string[]; generatedTime: string }
  | { kind: 'upstream' }

/** What a data folder keeps besides the emulator's files. */
export interface LocalState {
  keys: { master: string; function: string }
  clockOffsetMs: number
  source?: Source
}

interface Owner {
  pid: number
  /** A part of its command line. */
  command: string
}

/** A data folder that belongs to this process until it is released. */
export interface DataFolder {
  emulatorDir: string
  state: LocalState
  save(): void
  /** Notes the emulator's process, so that the next start can wait for it. */
  noteEmulator(pid: number | undefined): void
  release(): void
}

/** Opens a data folder; throws when another process of this kind uses it, and waits for an emulator that is still saving. */
export async function openDataFolder(dir: string): Promise<DataFolder> {
  const [stateFile, lockFile] = [join(dir, 'state.json'), join(dir, 'lock.json')]
  mkdirSync(dir, { recursive: true })
  const lock = read<{ host?: Owner; emulator?: Owner }>(lockFile) ?? {}
  if (lock.host && isRunning(lock.host)) {
    throw new Error(`Process ${lock.host.pid} already runs on ${dir}: stop it first, or choose another --data folder.`)
  }
  // After a kill the emulator saves and leaves by itself; two on the same files would lose what the first one saves.
  for (let waits = 0; lock.emulator && isRunning(lock.emulator); waits++) {
    if (waits === 150) throw new Error(`The storage emulator ${lock.emulator.pid} of the last start does not end.`)
    await sleep(100)
  }
  const state = read<LocalState>(stateFile) ?? { keys: { master: newKey(), function: newKey() }, clockOffsetMs: 0 }
  const host: Owner = { pid: process.pid, command: process.argv[1] ?? '' }
  write(lockFile, { host })
  return {
    emulatorDir: join(dir, 'azurite'),
    state,
    save: () => write(stateFile, state),
    noteEmulator: (pid) => write(lockFile, { host, emulator: { pid, command: 'azurite' } }),
    release: () => rmSync(lockFile, { force: true }),
  }
}

/** The state of a data folder, without claiming it; undefined for a folder that was never used. */
export const peekState = (dir: string): LocalState | undefined => read<LocalState>(join(dir, 'state.json'))

const newKey = () => randomBytes(24).toString('base64url')

function read<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T
  } catch {
    // Never written, or cut off by a crash of the machine: begin anew.
    return undefined
  }
}

function write(file: string, value: unknown): void {
  // Keys are in it: for this user alone.
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Whether a process of this id still runs that command: ids are given out again, and a zombie keeps its own. */
function isRunning({ pid, command }: Owner): boolean {
  try {
    // An empty command line is a zombie's.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(command)
  } catch {
    if (process.platform === 'linux') return false
  }
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The fleet that a data folder stands for: the same one at every start. */
export const fleetOptions = ({ size, generatedTime }: { size: number; generatedTime: string }) => ({
  size,
  generatedTime,
  seed: 1,
})
