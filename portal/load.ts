import { useEffect, useReducer, useRef } from 'preact/hooks'
import type { Answers } from './answers.ts'
import { type Ask, addressOf, call, curlOf, type Failure, type Route } from './api.ts'
import type { Place } from './session.ts'

/** An answer that is kept fresh. With `data` and `failure` it is stale: the last call failed. */
export interface Loaded<T> {
  data: T | undefined
  /** When `data` came, by this machine's clock. */
  at: number
  failure: Failure | undefined
  isLoading: boolean
  curl: string
  refresh(): void
}

/** What every view is given. */
export interface ViewProps {
  place: Place
  /** Asked for in every view: what it says of problems stands beside all of them. */
  overview: Loaded<Answers['GET /overview']>
}

export const EVERY_MS = 60_000
/** For what is asked for on request alone. */
export const ONCE = Number.POSITIVE_INFINITY
const TICK_MS = 10_000

/**
 * Calls a route now, and again so often while the tab is visible, usually once a minute, or when `version` changes.
 * Another address begins from the start.
 */
export function useAnswer<R extends Route>(
  route: R,
  ask: Ask = {},
  everyMs = EVERY_MS,
  version = 0,
): Loaded<Answers[R]> {
  const [, draw] = useReducer((count: number) => count + 1, 0)
  const address = addressOf(route, ask).path
  const state = useRef<Omit<Loaded<Answers[R]>, 'curl' | 'refresh'> & { address: string }>(null)
  if (state.current?.address !== address)
    state.current = {
      address,
      data: undefined,
      at: 0,
      failure: undefined,
      isLoading: true,
    }
  const load = useRef(() => {})
  const look = useRef(() => {})
  const every = useRef(everyMs)
  every.current = everyMs

  useEffect(() => {
    const ended = new AbortController()
    let asked = 0
    load.current = async () => {
      const own = state.current
      if (!own || ended.signal.aborted) return
      asked = Date.now()
      own.isLoading = true
      draw(0)
      const { body, failure } = await call(route, ask, ended.signal)
      if (ended.signal.aborted || state.current !== own) return
      Object.assign(own, { failure, isLoading: false, ...(body && { data: body, at: Date.now() }) })
      draw(0)
    }
    const lookNow = () => {
      if (document.visibilityState !== 'visible') return
      if (Date.now() - asked >= every.current) load.current()
      else draw(0)
    }
    look.current = lookNow
    load.current()
    const timer = setInterval(lookNow, TICK_MS)
    document.addEventListener('visibilitychange', lookNow)
    return () => {
      ended.abort()
      clearInterval(timer)
      document.removeEventListener('visibilitychange', lookNow)
    }
  }, [route, address, version])
  useEffect(() => look.current(), [everyMs])

  return { ...state.current, curl: curlOf(route, ask), refresh: () => load.current() }
}
