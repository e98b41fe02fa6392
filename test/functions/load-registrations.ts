import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'

/** The root of the project. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

const binding = z.looseObject({ type: z.string() })
const described = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
const printed = z.object({
  registered: z.array(z.object({ name: z.string(), bindings: z.record(z.string(), binding) })),
  descriptions: z.object({ openapi: described, swagger: described }),
})

/** A function as the platform registers it: its trigger, and the types of its other bindings. */
export interface Registered {
  name: string
  trigger: z.output<typeof binding>
  others: string[]
}

/** The registrations of a trigger list, and the descriptions that the app answers at `https://relay.example.net`. */
export interface LoadedApp {
  functions: Registered[]
  descriptions: z.output<typeof printed>['descriptions']
}

/** Loads a trigger list in a separate process, with plain node. */
export async function loadApp(index: string): Promise<LoadedApp> {
  const script = fileURLToPath(new URL('print-registrations.ts', import.meta.url))
  // In an empty folder: the app must not look for its files there.
  const options = { cwd: tmpdir(), env: {}, maxBuffer: 16 * 1024 * 1024 }
  const { stdout } = await promisify(execFile)(process.execPath, [script, index], options)
  const { registered, descriptions } = printed.parse(JSON.parse(stdout))
  const functions = registered.map(({ name, bindings }) => {
    const all = Object.values(bindings)
    const [trigger, ...more] = all.filter(({ type }) => type.endsWith('Trigger'))
    if (!trigger || more.length > 0) throw new Error(`${name} has not exactly one trigger`)
    return {
      name,
      trigger,
      others: all.filter((other) => other !== trigger).map(({ type }) => type),
    }
  })
  return { functions, descriptions }
}

/** The registrations of a trigger list. */
export const loadRegistrations = async (index: string): Promise<Registered[]> =>
  (await loadApp(index)).functions

/** The descriptions that the app must answer there. */
export function placedDescriptions(): object {
  const read = (name: string) => JSON.parse(readFileSync(join(root, 'docs', name), 'utf8'))
  const place = { host: 'relay.example.net', basePath: '/api', schemes: ['https'] }
  return {
    openapi: { ...read('openapi.json'), servers: [{ url: 'https://relay.example.net/api' }] },
    swagger: { ...read('swagger.json'), ...place },
  }
}
