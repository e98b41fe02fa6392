import { resolve } from 'node:path'
import { readState } from '../data-folder.ts'
import { RelayError, UsageError } from './errors.ts'
import type { Options } from './options.ts'

/** The app that is asked, and the key it takes. */
export interface Target {
  origin: string
  key: string
}

const KEY = /^[\x21-\x7e]{8,300}$/

/** Whether an address may be asked: in the clear on this machine alone. */
export const isOwnOrigin = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))

/**
 * Finds the app and its key: as given, else in the environment, else where `npm start` serves its data folder, with the key
 * in it. `RELAY_KEY` belongs to `RELAY_URL`, and a data folder's key stays on this machine.
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
  if (given !== undefined && !KEY.test(given))
    throw new UsageError('A key has 8 to 300 characters without spaces.')
  if (origin !== undefined && given !== undefined) return { origin, key: given }
  const isNear = origin === undefined || isLoopback(new URL(origin).hostname)
  const folder = resolve(from, data ?? '.local')
  const state = isNear ? readFolder(folder) : undefined
  // Another app of this machine has other keys, and ours is none of its business.
  if (origin !== undefined && origin !== state?.url)
    throw new UsageError('This app takes a function key: --key, or RELAY_KEY with RELAY_URL.')
  if (!state)
    throw new RelayError(
      `Nothing was started in ${folder} yet: npm start, or name an app by --url.`,
    )
  if (state.url === undefined)
    throw new RelayError(`Nothing serves ${folder} now: npm start, or name an app by --url.`)
  return { origin: state.url, key: given ?? state.keys.function }
}

function readFolder(folder: string) {
  try {
    return readState(folder)
  } catch (error) {
    throw new RelayError((error as Error).message)
  }
}

function readOrigin(text: string): string {
  const url = URL.parse(text)
  const isBare = url?.pathname === '/' && !url.search && !url.hash && !url.username && !url.password
  if (url && isBare && isOwnOrigin(url)) return url.origin
  throw new UsageError(
    'An address is an origin such as https://relay.example.com; http only for this machine.',
  )
}

const isLoopback = (hostname: string): boolean =>
  /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/.test(hostname)
