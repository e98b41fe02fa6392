import { z } from 'zod'
import { grantedFlows } from './grants.ts'

/** What a flow is looked at for, in this order. */
export const checkNames = ['settings', 'tables', 'queues', 'token', 'grant', 'probe'] as const
export type CheckName = (typeof checkNames)[number]

/** Something that keeps a flow from running, and the one command that mends it. */
export interface Trouble {
  problem: string
  remedy: string
}

/** What a look at every flow came to; a check that could not be made is not in the list. */
export const preflightSchema = z.array(
  z.strictObject({
    flow: z.enum(grantedFlows),
    state: z
      .enum(['ready', 'off', 'unused'])
      .describe('Off: it can not run. Unused: nobody has set it up to run.'),
    checks: z.array(
      z.strictObject({
        name: z.enum(checkNames),
        ok: z.boolean(),
        problem: z.string().nullable(),
        remedy: z.string().nullable(),
      }),
    ),
  }),
)

/** How one flow stands. */
export type FlowLook = z.output<typeof preflightSchema>[number]
