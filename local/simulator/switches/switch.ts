import type { Faults } from '../faults.ts'

/** A fault that `npm start -- --fault <name>` rehearses. */
export interface FaultSwitch {
  /** One line for `npm start -- --faults`: what the upstream does, and what the app says about it. */
  summary: string
  faults: Partial<Faults>
  /** What the app logs while it lasts: the starts of lines that must come, and of lines that must not. */
  expects?: { appear: string[]; never: string[] }
}
