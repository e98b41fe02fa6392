import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'

/** The account of the app's data. Its name is the emulator's usual one, its key is not: that one is published. */
export const DATA_ACCOUNT = 'devstoreaccount1'

/** The account of the app's secrets. */
export const SECRETS_ACCOUNT = 'relaysecrets'

/** A random account key. */
export const newAccountKey = (): string => randomBytes(32).toString('base64')

/** A running storage emulator. */
export interface Azurite {
  readonly process: ChildProcess
  /** Where each service listens. */
  readonly endpoints: Endpoints
  /** The connection string of one of its accounts. */
  connectionString(account?: string): string
  /** Resolves when its process has ended, for any reason. */
  readonly ended: Promise<void>
  /** Saves everything and ends the process. */
  stop(): Promise<void>
}

export interface AzuriteOptions {
  /** Folder for its files; without one everything is in memory. */
  dataDir?: string
  /** The key of each account; without them there is the data account, with a key that is in memory only. */
  accounts?: Record<string, string>
  /** Gets the process id immediately, long before the emulator is ready. */
  onSpawn?(pid: number): void
}

/** Starts the storage emulator (blob, queue, table) on free loopback ports; rejects when it ends before it is ready. */
export async function startAzurite({
  dataDir,
  accounts = { [DATA_ACCOUNT]: newAccountKey() },
  onSpawn,
}: AzuriteOptions = {}): Promise<Azurite> {
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/azurite.js')
  const ports = ['blob', 'queue', 'table'].flatMap((service) => [`--${service}Port`, '0'])
  const child = fork(
    main,
    [
      ...ports,
      '--silent',
      '--disableTelemetry',
      '--skipApiVersionCheck',
      ...(dataDir ? ['--location', dataDir] : ['--inMemoryPersistence']),
    ],
    {
      // Its own process group: Ctrl-C reaches only the host, which stops the emulator last.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--import', new URL('./azurite-hook.mjs', import.meta.url).href],
      env: {
        ...process.env,
        AZURITE_ACCOUNTS: Object.entries(accounts)
          .map(([name, key]) => `${name}:${key}`)
          .join(';'),
      },
    },
  )
  if (child.pid) onSpawn?.(child.pid)
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const endpoints = await readEndpoints(child, dataDir)
  return {
    process: child,
    endpoints,
    ended,
    connectionString: (account = DATA_ACCOUNT) =>
      [
        'DefaultEndpointsProtocol=http',
        `AccountName=${account}`,
        `AccountKey=${accounts[account]}`,
        ...Object.entries(endpoints).map(
          ([service, origin]) => `${service}Endpoint=${origin}/${account}`,
        ),
      ].join(';'),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      // The hook turns this into SIGTERM. An open channel would keep the process running after its servers have closed.
      if (child.connected) child.disconnect()
      else child.kill('SIGTERM')
      await exit
    },
  }
}

type Endpoints = Record<'Blob' | 'Queue' | 'Table', string>

function readEndpoints(child: ChildProcess, dataDir: string | undefined): Promise<Endpoints> {
  const { stdout, stderr } = child
  let printed = ''
  return new Promise<Endpoints>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      const why = /unhandled error: (.*)/.exec(printed)?.[1] ?? `it ended with ${code ?? signal}`
      const where = dataDir ? ` on ${dataDir}` : ''
      reject(new Error(`The storage emulator did not start${where}: ${why}`))
    })
    for (const output of [stdout, stderr]) {
      output?.on('data', (chunk) => {
        printed += chunk
        const found = Object.fromEntries(
          [
            ...printed.matchAll(
              /Azurite (Blob|Queue|Table) service is successfully listening at (http:\S+)/g,
            ),
          ].map(([, service, origin]) => [service, origin]),
        )
        if (Object.keys(found).length === 3) resolve(found as Endpoints)
      })
    }
  }).finally(() => {
    // Its later output is read and dropped: a full pipe would block it.
    for (const output of [stdout, stderr]) output?.removeAllListeners('data').resume()
  })
}
