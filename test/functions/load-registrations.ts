import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'

/** The root of the project. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

const binding = z.looseObject({ type: z.string() })
const registered = z.array(z.object({ name: z.string(), bindings: z.record(z.string(), binding) }))

/** A function as the platform knows it: its trigger, and the types of its other bindings. */
export interface Registered {
  name: string
  trigger: z.output<typeof binding>
  others: string[]
}

/** Loads a trigger list in a process of its own, with plain node, and answers what it registers. */
export async function loadRegistrations(index: string): Promise<Registered[]> {
  const script = fileURLToPath(new URL('print-registrations.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script, index], {
    cwd: root,
    env: {},
  })
  return registered.parse(JSON.parse(stdout)).map(({ name, bindings }) => {
    const all = Object.values(bindings)
    const [trigger, ...more] = all.filter(({ type }) => type.endsWith('Trigger'))
    if (!trigger || more.length > 0) throw new Error(`${name} has not exactly one trigger`)
    return {
      name,
      trigger,
      others: all.filter((other) => other !== trigger).map(({ type }) => type),
    }
  })
}
