import type { Faults } from '../faults.ts'

/** A fault that `npm start -- --fault <name>` rehearses. */
export interface FaultSwitch {
  /** One line for `npm start -- --faults`: what the upstream does, and what the app says about it. */
  summary: string
  faults: Partial<Faults>
  /**
   * While it lasts: what must be in a line of the app or the answer to a look-up, what must not, and the codes of all
   * problems that alert, in order.
   */
  expects?: { appear: string[]; never: string[]; problems?: string[] }
}
