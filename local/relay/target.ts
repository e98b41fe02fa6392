import { resolve } from 'node:path'
import { z } from 'zod'
import { readState } from '../data-folder.ts'
import { RelayError, UsageError } from './errors.ts'
import type { Options } from './options.ts'

/** The app that is asked, and the key it takes. */
export interface Target {
  origin: string
  key: string
}

/** What `npm start` listens on where nobody chose a port. */
const usualPorts = Array.from({ length: 20 }, (_, index) => 7071 + index)
const LONGEST_LOOK_MS = 2000
const KEY = /^[\x21-\x7e]{8,300}$/

/** Whether an address may be asked: in the clear on this machine alone. */
export const isOwnOrigin = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))

/**
 * Finds the app and its key: as given, else in the environment, else the one that `npm start` serves with the key of its
 * data folder. `RELAY_KEY` belongs to `RELAY_URL`, and a data folder's key stays on this machine.
 */
export async function findTarget(
  { url, key, data }: Options,
  env: Record<string, string | undefined>,
  from: string,
): Promise<Target> {
  const address = url ?? (env.RELAY_URL || undefined)
  const origin = address === undefined ? undefined : readOrigin(address)
  const isOfKey = origin !== undefined && (!env.RELAY_URL || readOrigin(env.RELAY_URL) === origin)
  const given = key ?? (isOfKey ? env.RELAY_KEY || undefined : undefined)
  if (given !== undefined && !KEY.test(given)) throw new UsageError('A key has 8 to 300 characters without spaces.')
  if (origin !== undefined && !isLoopback(new URL(origin).hostname)) {
    if (given === undefined) throw new UsageError('This app takes a function key: --key, or RELAY_KEY with RELAY_URL.')
    return { origin, key: given }
  }
  const folder = resolve(from, data ?? '.local')
  const kept = given ?? readKey(folder)
  if (kept === undefined)
    throw new RelayError(`Nothing was started in ${folder} yet: npm start, or name an app by --url.`)
  return { origin: origin ?? (await findLocal(usualPorts)), key: kept }
}

function readKey(folder: string): string | undefined {
  try {
    return readState(folder)?.keys.function
  } catch (error) {
    throw new RelayError((error as Error).message)
  }
}

const healthSchema = z.object({ status: z.enum(['ok', 'unconfigured']) })

/** The origin of the first app on these ports of this machine; asked without a key. Throws a `RelayError` for none. */
export async function findLocal(ports: readonly number[]): Promise<string> {
  for (const port of ports) {
    const origin = `http://127.0.0.1:${port}`
    const signal = AbortSignal.timeout(LONGEST_LOOK_MS)
    const answer = await fetch(`${origin}/api/health`, { redirect: 'manual', signal })
      .then((response): Promise<unknown> => response.json())
      .catch(() => undefined)
    if (healthSchema.safeParse(answer).success) return origin
  }
  throw new RelayError(
    `No app serves on the ports ${ports[0]} to ${ports.at(-1)} of this machine: npm start, or name one by --url.`,
  )
}

function readOrigin(text: string): string {
  const url = URL.parse(text)
  const isBare = url?.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  if (url && isBare && isOwnOrigin(url)) return url.origin
  throw new UsageError('An address is an origin such as https://relay.example.com; http only for this machine.')
}

const isLoopback = (hostname: string): boolean => /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)
