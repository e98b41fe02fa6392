import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startAzurite } from '../local/azurite.ts'
import { singleFlight } from '../shared/platform/single-flight.ts'
import type { CaseOptions, CaseResult } from './cases.ts'
import type { ServerOptions, ServerStats } from './table-server.ts'

/** A case as a process of its own: what it does, and the service that it meets. */
export interface Case {
  options: CaseOptions
  server?: Partial<ServerOptions>
  /** Both on one CPU each. */
  pinned?: boolean
  /** Rows go to a fresh storage emulator; the server only serves the file. */
  azurite?: boolean
}

export type Measured = CaseResult & ServerStats

/** Runs a case in a fresh process against a fresh server. */
export async function measure({
  options,
  server = {},
  pinned = false,
  azurite,
}: Case): Promise<Measured> {
  const full: ServerOptions = { latencyMs: 0, account: 0, partition: 0, files: {}, ...server }
  await compile()
  const tables = start('table-server.js', full, pinned ? 1 : undefined)
  // It loads its modules while the server gets ready.
  const client = start('cases.js', options, pinned ? 0 : undefined)
  const emulator = azurite ? await startAzurite() : undefined
  const [port] = await once(tables, 'message')
  const result = Promise.race([
    once(client, 'message'),
    once(client, 'exit').then(([code]) => {
      throw new Error(`case ${options.what} ended with ${code}`)
    }),
  ])
  client.send({ storage: emulator?.connectionString(), origin: `http://127.0.0.1:${port}` })
  const [measured] = await result
  tables.send('stats')
  const [stats] = await once(tables, 'message')
  client.disconnect()
  tables.disconnect()
  await emulator?.stop()
  return { ...(stats as ServerStats), ...(measured as CaseResult) }
}

const COMPILED = fileURLToPath(
  new URL('../node_modules/.cache/defender-relay-bench', import.meta.url),
)

/** Compiles what runs in the processes, as what is deployed is compiled: else reading TypeScript would be measured too. */
const compile = singleFlight(
  async () => {
    const require = createRequire(import.meta.url)
    const project = fileURLToPath(new URL('tsconfig.json', import.meta.url))
    const tsc = join(require.resolve('typescript/package.json'), '../bin/tsc')
    await promisify(execFile)(process.execPath, [tsc, '-p', project])
    writeFileSync(join(COMPILED, 'package.json'), '{ "type": "module" }')
    for (const name of ['host.json', 'local/azurite-hook.mjs'])
      copyFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), join(COMPILED, name))
  },
  { keep: true },
)

function start(file: string, options: unknown, cpu: number | undefined) {
  const script = join(COMPILED, 'bench', file)
  const args = [JSON.stringify(options)]
  if (cpu === undefined) return fork(script, args)
  return fork(script, args, {
    execPath: 'taskset',
    execArgv: ['-c', String(cpu), process.execPath],
  })
}

/** Runs all cases in turn, round by round, so that a slow minute of the machine meets all of them. */
export async function interleave<K extends string>(
  cases: Record<K, Case>,
  rounds: number,
): Promise<Record<K, Measured[]>> {
  const names = Object.keys(cases) as K[]
  const all = Object.fromEntries(names.map((name) => [name, [] as Measured[]])) as Record<
    K,
    Measured[]
  >
  for (let round = 1; round <= rounds; round++)
    for (const name of names) {
      const result = await measure(cases[name])
      all[name].push(result)
      console.error(`${round}/${rounds} ${name}: ${JSON.stringify(result)}`)
    }
  return all
}

/** The ratio of each pair. */
export const ratios = <T>(a: T[], b: T[], of: (measured: T) => number): number[] =>
  a.flatMap((one, index) => {
    const other = b[index]
    return other === undefined ? [] : of(one) / of(other)
  })

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
