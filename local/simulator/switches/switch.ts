import type { Faults } from '../faults.ts'

/** A fault that `npm start -- --fault <name>` rehearses. */
export interface FaultSwitch {
  /** One line for `npm start -- --faults`: what the upstream does, and what the app says about it. */
  summary: string
  faults: Partial<Faults>
  /**
   * While it lasts: what must be in a line of the app or the answer to a look-up, and what must not. An alert fires only
   * when its line is expected.
   */
  expects?: { appear: string[]; never: string[] }
}
