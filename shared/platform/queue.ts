/** The longest that a message can be kept from sight: seven days. */
export const LONGEST_DELAY_SECONDS = 604_800

/** A queue as its sender sees it: the host takes messages out, hands them to functions and counts their failures. */
export interface Queue {
  readonly name: string
  /** Creates the queue; a queue that exists is fine. */
  create(): Promise<void>
  /**
   * Adds a message that never expires, as JSON text; the service takes 64 KiB. It can be seen after `delaySeconds`,
   * rounded up to whole seconds and cut at `LONGEST_DELAY_SECONDS`; at once when absent.
   */
  send(message: unknown, options?: { delaySeconds?: number }): Promise<void>
}

/** A delay as the service takes it. */
export const toVisibility = (delaySeconds = 0): number =>
  Math.min(Math.max(Math.ceil(delaySeconds), 0), LONGEST_DELAY_SECONDS)
