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
const registered = z.array(z.object({ name: z.string(), bindings: z.record(z.string(), binding) }))

/** A function as the platform knows it: its trigger, and the types of its other bindings. */
export interface Registered {
  name: string
  trigger: z.output<typeof binding>
  others: string[]
}

/** Runs a script on a trigger list in a process of its own, with plain node; answers the JSON that it prints. */
async function runScript(name: string, index: string): Promise<unknown> {
  const script = fileURLToPath(new URL(name, import.meta.url))
  // In a folder that is nobody's: the app must not look for its files there.
  const options = { cwd: tmpdir(), env: {}, maxBuffer: 16 * 1024 * 1024 }
  const { stdout } = await promisify(execFile)(process.execPath, [script, index], options)
  return JSON.parse(stdout)
}

const described = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
const descriptions = z.object({ openapi: described, swagger: described })

/** What the app of a trigger list answers as its descriptions, asked at `https://relay.example.net`. */
export async function loadDescriptions(index: string): Promise<z.output<typeof descriptions>> {
  return descriptions.parse(await runScript('print-descriptions.ts', index))
}

/** What it has to answer. */
export function placedDescriptions(): object {
  const read = (name: string) => JSON.parse(readFileSync(join(root, 'docs', name), 'utf8'))
  const place = { host: 'relay.example.net', basePath: '/api', schemes: ['https'] }
  return {
    openapi: { ...read('openapi.json'), servers: [{ url: 'https://relay.example.net/api' }] },
    swagger: { ...read('swagger.json'), ...place },
  }
}

/** What a trigger list registers. */
export async function loadRegistrations(index: string): Promise<Registered[]> {
  const printed = await runScript('print-registrations.ts', index)
  return registered.parse(printed).map(({ name, bindings }) => {
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
