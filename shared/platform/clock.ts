/** Time as the app sees it: one object, so that tests and laptops can move it. */
export interface Clock {
  /** The present moment. */
  now(): Date
  /** Resolves after `ms` milliseconds of this clock; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
