import { spawnSync } from 'node:child_process'
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'

const owner = z.object({
  pid: z.int(),
  /** When it started, in the system's own unit: process ids are reused. Null where the system does not say. */
  began: z.string().nullable(),
})
const stored = z.object({
  host: owner.optional(),
  emulator: owner.optional(),
  /** The address of the host while it serves. */
  url: z.string().optional(),
})

type Owner = z.output<typeof owner>
type Lock = z.output<typeof stored>

/** A folder that this process has locked until it releases it or ends. */
export interface FolderLock {
  /** Notes the emulator's process, so that the next start can wait for it. */
  noteEmulator(pid: number): void
  /** Notes the address that this process serves, or that it no longer does. */
  noteAddress(url: string | undefined): void
  release(): void
}

const LONGEST_SAVE_MS = 60_000
const ABANDONED_MS = 2000
const LONGEST_TURN_MS = 10_000
const TURN_MS = 20

/** Locks a folder for this process. Throws when another process has it; waits for an emulator that is still saving. */
export async function lockFolder(dir: string, signal?: AbortSignal): Promise<FolderLock> {
  const file = join(dir, 'lock.json')
  const host = ownerOf(process.pid)
  const emulator = await decideAlone(`${file}.new`, signal, (decided) => {
    const lock = readLock(file)
    if (lock.host && isRunning(lock.host)) {
      throw new Error(
        `Process ${lock.host.pid} already runs on ${dir}: stop it first, or choose another --data folder.`,
      )
    }
    writeLock(decided, { host, emulator: lock.emulator })
    renameSync(decided, file)
    return lock.emulator
  })
  const release = () => rmSync(file, { force: true })
  // After a kill the emulator saves and ends by itself. A second one on the same files would overwrite what the first saves.
  for (let waitedMs = 0; emulator && isRunning(emulator); waitedMs += 50) {
    if (waitedMs >= LONGEST_SAVE_MS) {
      throw new Error(
        `The storage emulator of the last start, process ${emulator.pid}, does not end.`,
      )
    }
    await sleep(50, undefined, { signal })
  }
  const lock: Lock = { host }
  const save = () => {
    writeLock(`${file}.${process.pid}`, lock)
    renameSync(`${file}.${process.pid}`, file)
  }
  return {
    noteEmulator(pid) {
      lock.emulator = ownerOf(pid)
      save()
    },
    noteAddress(url) {
      lock.url = url
      save()
    },
    release,
  }
}

/**
 * The address of the app that serves a folder now; undefined when its process has ended, in whatever way. Another program may
 * then listen there, and must not get a key.
 */
export function addressOf(dir: string): string | undefined {
  const { host, url } = readLock(join(dir, 'lock.json'))
  return host && isRunning(host) ? url : undefined
}

/** Several starts at the same moment decide one after the other: first the one that creates the file `sign`. */
async function decideAlone<T>(
  sign: string,
  signal: AbortSignal | undefined,
  decide: (sign: string) => T,
): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += TURN_MS) {
    try {
      writeFileSync(sign, '', { flag: 'wx', mode: 0o600 })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || waitedMs >= LONGEST_TURN_MS)
        throw error
      // Deciding takes milliseconds: a file that stays, or is from the future, was left by a process that was killed.
      const found = lstatSync(sign, { throwIfNoEntry: false })
      if (found && Math.abs(Date.now() - found.mtimeMs) > ABANDONED_MS)
        rmSync(sign, { force: true })
      await sleep(TURN_MS, undefined, { signal })
    }
  }
  try {
    return decide(sign)
  } finally {
    rmSync(sign, { force: true })
  }
}

function readLock(file: string): Lock {
  try {
    return stored.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // Never written, or cut off when the machine stopped: its process has ended.
    return {}
  }
}

function writeLock(file: string, lock: Lock): void {
  writeFileSync(file, `${JSON.stringify(lock)}\n`, { mode: 0o600 })
}

const ownerOf = (pid: number): Owner => ({ pid, began: readProcess(pid)?.began ?? null })

function isRunning({ pid, began }: Owner): boolean {
  if (process.platform !== 'win32') {
    const found = readProcess(pid)
    return found !== undefined && found.began === began
  }
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** What the system says about a process; undefined when it has ended, also when its parent has not read its exit code yet. */
function readProcess(pid: number): { began: string } | undefined {
  const [state, began] = process.platform === 'linux' ? readProc(pid) : askPs(pid)
  return !began || /^[ZX]/.test(state ?? '') ? undefined : { began }
}

function readProc(pid: number): (string | undefined)[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in brackets, may hold anything; the state comes after it, the time of the start 19 words later.
    const words = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return [words[0], words[19]]
  } catch {
    return []
  }
}

/** The state and the start of a process by `ps`, which Linux has too and Windows has not. */
export function askPs(pid: number): (string | undefined)[] {
  const args = ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)]
  // In a fixed form: it is compared as text.
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
  const { stdout } = spawnSync('ps', args, { encoding: 'utf8', env })
  return /^\s*(\S+)\s+(.*\S)/.exec(stdout ?? '')?.slice(1) ?? []
}
