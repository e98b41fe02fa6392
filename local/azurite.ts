import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/** Azurite's published development key: the same on every machine, and no secret. */
const DEVELOPMENT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

/** A running storage emulator. */
export interface Azurite {
  readonly process: ChildProcess
  /** The connection string of one of its accounts. */
  connectionString(account?: string): string
  /** Saves everything and ends the process. */
  stop(): Promise<void>
}

export interface AzuriteOptions {
  /** Folder for its files; without one everything stays in memory. */
  dataDir?: string
  /** Account names besides `devstoreaccount1`. */
  accounts?: string[]
}

/** Starts the storage emulator (blob, queue, table) on free loopback ports; rejects when it ends before it is ready. */
export async function startAzurite({ dataDir, accounts = [] }: AzuriteOptions = {}): Promise<Azurite> {
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/azurite.js')
  const ports = ['blob', 'queue', 'table'].flatMap((service) => [`--${service}Port`, '0'])
  const child = fork(
    main,
    [
      ...ports,
      '--disableTelemetry',
      '--skipApiVersionCheck',
      ...(dataDir ? ['--location', dataDir] : ['--inMemoryPersistence']),
    ],
    {
      // A process group of its own: Ctrl-C reaches the host alone, which stops the emulator last.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--import', pathToFileURL(new URL('./azurite-hook.mjs', import.meta.url).pathname).href],
      env: {
        ...process.env,
        AZURITE_ACCOUNTS: ['devstoreaccount1', ...accounts].map((name) => `${name}:${DEVELOPMENT_KEY}`).join(';'),
      },
    },
  )
  const endpoints = await readEndpoints(child)
  return {
    process: child,
    connectionString: (account = 'devstoreaccount1') =>
      [
        'DefaultEndpointsProtocol=http',
        `AccountName=${account}`,
        `AccountKey=${DEVELOPMENT_KEY}`,
        ...Object.entries(endpoints).map(([service, origin]) => `${service}Endpoint=${origin}/${account}`),
      ].join(';'),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      // The hook turns this into SIGTERM; an open channel alone would keep a process that has closed its servers alive.
      if (child.connected) child.disconnect()
      else child.kill('SIGTERM')
      await ended
    },
  }
}

function readEndpoints(child: ChildProcess): Promise<Record<'Blob' | 'Queue' | 'Table', string>> {
  return new Promise((resolve, reject) => {
    let printed = ''
    child.on('exit', (code) =>
      reject(new Error(`the storage emulator ended with ${code} before it was ready: ${printed}`)),
    )
    child.stderr?.on('data', (chunk) => {
      printed += chunk
    })
    child.stdout?.on('data', (chunk) => {
      printed += chunk
      const found = Object.fromEntries(
        [...printed.matchAll(/Azurite (Blob|Queue|Table) service is successfully listening at (http:\S+)/g)].map(
          ([, service, origin]) => [service, origin],
        ),
      )
      if (Object.keys(found).length === 3) resolve(found as Record<'Blob' | 'Queue' | 'Table', string>)
    })
  })
}
