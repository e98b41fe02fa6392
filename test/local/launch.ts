import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { onceSchema } from '../../local/app-client.ts'

/** The exit code of a process, and its output. */
export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** `npm start` without npm, as a separate process. */
export interface Launched {
  child: ChildProcess
  pid: number
  ended: Promise<Ended>
  /** Resolves with the address of the host as soon as it is printed; rejects when the process ends before. */
  url: Promise<string>
  /** What it has written to standard error so far. */
  stderr(): string
  /** Resolves when standard error contains this text. */
  said(text: string): Promise<void>
}

const running = new Set<Launched>()
const folders: string[] = []

/** Runs a program of `local/` with these arguments; `endAll` ends it when the test has not. */
export function launch(
  args: string[],
  program = 'start.ts',
  env: Record<string, string> = {},
): Launched {
  const script = fileURLToPath(new URL(`../../local/${program}`, import.meta.url))
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // As under npm: a start ends by itself when its parent, here the test, has ended.
    env: {
      ...process.env,
      npm_lifecycle_event: 'start',
      ...env,
    },
  })
  let stdout = ''
  let stderr = ''
  const listeners = new Set<() => void>()
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
    for (const listener of [...listeners]) listener()
  })
  const ended = once(child, 'close').then(([code, signal]) => {
    running.delete(launched)
    for (const listener of [...listeners]) listener()
    return { code, signal, stdout, stderr }
  })
  const find = <T>(find: () => T | undefined | false | null) =>
    new Promise<T>((resolve, reject) => {
      const look = () => {
        const found = find()
        if (found) resolve(found)
        else if (!running.has(launched)) reject(new Error(`it ended too early: ${stderr}`))
        else return
        listeners.delete(look)
      }
      listeners.add(look)
      look()
    })
  const launched: Launched = {
    child,
    pid: child.pid ?? 0,
    ended,
    url: undefined as never,
    stderr: () => stderr,
    said: async (text) => void (await find(() => stderr.includes(text))),
  }
  running.add(launched)
  const url = find(() => /^host: (\S+)/m.exec(stderr)?.[1])
  url.catch(() => {})
  return Object.assign(launched, { url })
}

/** Runs a program until it ends. */
export const runToEnd = (
  args: string[],
  program?: string,
  env?: Record<string, string>,
): Promise<Ended> => launch(args, program, env).ended

/** A new folder. */
export function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'defender relay '))
  folders.push(folder)
  return folder
}

/** For `afterEach` or `afterAll`: ends running processes, waits for their emulators, and removes the folders. */
export async function endAll(): Promise<void> {
  for (const { child, ended } of [...running]) {
    child.kill('SIGKILL')
    await ended
  }
  for (const folder of folders.splice(0)) {
    const pid = emulatorPid(folder)
    if (pid) await gone(pid)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** The `--once` line: the last one of standard output, checked against its promised shape. */
export const onceLine = ({ stdout }: Ended) =>
  onceSchema.parse(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? ''))

const stateSchema = z.object({ keys: z.object({ master: z.string(), function: z.string() }) })

/** The keys of a data folder. */
export const keysOf = (folder: string) =>
  stateSchema.parse(JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8'))).keys

/** The emulator's process as the folder's lock names it. */
export function emulatorPid(folder: string): number | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'lock.json'), 'utf8')).emulator?.pid
  } catch {
    return undefined
  }
}

/** Whether a process runs; false also for a process that has ended and whose exit code was not read yet. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return process.platform !== 'linux'
  }
}

/** Resolves when a process has ended. */
export async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await pause(20)
}

/** Moves the local clock of a running host forward. */
export async function advance(url: string, folder: string, advanceSeconds: number): Promise<void> {
  const headers = { 'x-functions-key': keysOf(folder).master, 'content-type': 'application/json' }
  const response = await fetch(`${url}/admin/clock`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ advanceSeconds }),
  })
  if (!response.ok) throw new Error(`the clock answered ${response.status}`)
}

const runSchema = z.object({
  runId: z.string(),
  state: z.string(),
  reason: z.string().nullable(),
  endedAt: z.string().nullable(),
  counts: z.object({ written: z.int() }),
  files: z.array(z.object({ state: z.string() })).default([]),
})
const runsSchema = z.object({ runs: z.array(runSchema) })

/** Calls the HTTP API of a running start, with its function key. */
export async function ask(
  start: Launched,
  folder: string,
  path: string,
  init: RequestInit = {},
): Promise<unknown> {
  const headers = { 'x-functions-key': keysOf(folder).function, 'content-type': 'application/json' }
  const response = await fetch(`${await start.url}/api/${path}`, { ...init, headers })
  return response.json()
}

export const askRun = async (start: Launched, folder: string, runId: string) =>
  runSchema.parse(await ask(start, folder, `av-health/exports/${runId}`))

export const askNewestRun = async (start: Launched, folder: string) =>
  runsSchema.parse(await ask(start, folder, 'av-health/exports?limit=1')).runs[0]

/** The run of a start, as soon as there is one: then it has work for a while, on any machine. */
export async function runUnderWay(start: Launched, folder: string) {
  await start.url
  for (;;) {
    const run = await askNewestRun(start, folder)
    if (run) return run
    await pause(20)
  }
}

/** Moves the clock of a start with the usual faults when it waits for a file that is not ready. */
export function hurry(start: Launched, folder: string): Promise<Ended> {
  const pass = async () => {
    const url = await start.url
    for (;;) {
      const run = await askNewestRun(start, folder)
      const files = run ? (await askRun(start, folder, run.runId)).files : []
      const isWaiting = files.some(({ state }) => state === 'not-ready')
      if (isWaiting) await advance(url, folder, 16)
      // Each look is work for the host: more of them would slow down the run.
      await pause(200)
    }
  }
  // It ends with the host.
  pass().catch(() => {})
  return start.ended
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
