import { readFileSync } from 'node:fs'
import { createAdjustableClock } from '../local/clock.ts'
import { startHost } from '../local/host/host.ts'
import { createSimulatorCredential } from '../local/laptop.ts'
import { type Faults, noFaults } from '../local/simulator/faults.ts'
import { createFleet, type Fleet } from '../local/simulator/fleet.ts'
import type { TokenOptions } from '../local/simulator/issuers.ts'
import type { FleetOptions } from '../local/simulator/layout.ts'
import type { ScanOptions } from '../local/simulator/scans/scans.ts'
import { startSimulator } from '../local/simulator/simulator.ts'
import { describeRoutes } from '../local/tools/describe/routes.ts'
import { httpRoutes } from '../shared/app/http.ts'
import type { Overrides } from '../shared/app/sections/base.ts'
import { theApp, useOverrides } from '../shared/app.ts'
import { resources } from '../shared/changes/resources/index.ts'
import type { ExportEngine } from '../shared/exports/engine.ts'
import { problemSchema } from '../shared/platform/error-responses.ts'
import { createLog } from '../shared/platform/log.ts'
import { HOUR_MS } from '../shared/platform/time.ts'
import { countSleeps } from './count-sleeps.ts'
import { createAnswerCheck, findPath } from './local/tools/described-answers.ts'
import { freshStorage } from './storage.ts'

export interface TestStackOptions {
  fleet?: Partial<FleetOptions>
  faults?: Partial<Faults>
  token?: Partial<TokenOptions>
  scans?: Partial<ScanOptions>
  env?: Record<string, string>
  retention?: Overrides['retention']
  /** Accounts for data and secrets; without them two of the emulator of all tests. */
  accounts?: [data: string, secrets: string]
}

/** An answer as a caller sees it, its body checked against what its route declares. */
export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: every test reads other fields, and the schemas have checked them.
  body: any
}

export type TestStack = Awaited<ReturnType<typeof startTestStack>>

// A leap day: tests move the clock by months.
const never = '0 0 0 29 2 *'
/** Settings for a test that calls each timer itself: none fires by its schedule. */
export const noTimers = {
  AV_HEALTH_SCHEDULE: never,
  MACHINE_ACTIONS_SCHEDULE: never,
  INVESTIGATIONS_SCHEDULE: never,
}

/** The whole product on real parts in this process: storage emulator, simulator, host; time moves only when told. */
export async function startTestStack(options: TestStackOptions = {}) {
  const [storage, secrets] = options.accounts ?? [await freshStorage(), await freshStorage()]
  const clock = createAdjustableClock()
  const fleet: Fleet = createFleet({ size: 300, files: 6, badLines: 1, ...options.fleet })
  const simulator = await startSimulator({
    clock,
    fleet,
    faults: { ...noFaults, ...options.faults },
    ...(options.token ? { token: options.token } : {}),
    ...(options.scans ? { scans: options.scans } : {}),
  })
  const env = {
    RELAY_STORAGE: storage,
    RELAY_SECRETS: secrets,
    AzureWebJobsStorage: storage,
    DEFENDER_BASE_URL: `${simulator.origin}/defender`,
    TENABLE_BASE_URL: `${simulator.origin}/tenable`,
    TENABLE_ACCESS_KEY: simulator.tenableKeys.accessKey,
    TENABLE_SECRET_KEY: simulator.tenableKeys.secretKey,
    AV_HEALTH_SCHEDULE: '0 15 */12 * * *',
    ...Object.fromEntries(resources.map(({ schedule }) => [schedule.setting, schedule.usual])),
    TASKHUB_NAME: 'DefenderRelay',
    AzureWebJobsDisableHomepage: 'true',
    ...options.env,
  }
  const sleeps = countSleeps(clock)
  /** Starts the app again in this process with changed settings: as after a change of the app's settings. */
  const configure = (changed: Record<string, string> = {}, more: Partial<Overrides> = {}) =>
    useOverrides({
      env: { ...env, ...changed },
      clock: sleeps,
      storageDate: (date) => new Date(date.getTime() + clock.offsetMs),
      credential: createSimulatorCredential(simulator.origin, clock),
      upstreamOrigin: simulator.origin,
      callbackPolicy: {
        allowLoopback: true,
        resolve: async () => [{ address: '127.0.0.1', family: 4 }],
      },
      ...(options.retention ? { retention: options.retention } : {}),
      ...more,
    })
  configure()
  const lines: string[] = []
  const answers: string[] = []
  const keys = { master: 'master-key-of-the-test', function: 'function-key-of-the-test' }
  const host = await startHost({
    load: () => import('../functions/index.ts'),
    storage,
    hostJson: JSON.parse(readFileSync(new URL('../host.json', import.meta.url), 'utf8')),
    settings: env,
    port: 0,
    keys,
    clock,
    print: (line) => lines.push(line),
  })

  async function request(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
    const url = path.startsWith('http') ? path : `${host.url}/api/${path}`
    const response = await fetch(url, {
      method,
      ...init,
      headers: { 'x-functions-key': keys.function, ...init.headers },
    })
    const text = await response.text()
    answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${text}`)
    const body = text === '' ? undefined : JSON.parse(text)
    checkAnswer(method, new URL(url).pathname, response, body)
    return { status: response.status, headers: response.headers, body }
  }

  /** A run is over before what it leaves is tidied up. */
  async function settled(runId: string): Promise<void> {
    const { runs } = (await theApp().avHealth()).engine({
      log: createLog({ info() {}, warn() {}, error() {} }),
      trace: {},
    })
    // Where a test keeps it active, nothing else ends this.
    for (let looks = 0; looks < 3000 && (await runs.active())?.run === runId; looks++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  return {
    host,
    simulator,
    clock,
    /** Who of the app sleeps. */
    sleeps,
    fleet,
    /** What the host printed, and every answer to `request` in one text with its headers. */
    lines,
    answers,
    configure,
    keys,
    storage,
    secrets,
    request,
    get: (path: string) => request('GET', path),
    post: (path: string, body: unknown = {}) =>
      request('POST', path, {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    /** The engine of the app under test. */
    async engine(): Promise<ExportEngine> {
      const log = (line: string) => void lines.push(line)
      return (await theApp().avHealth()).engine({
        log: createLog({ info: log, warn: log, error: log }),
        trace: {},
      })
    },
    /** Waits until a run is over, moving time on whenever it waits for time, and answers the run. */
    async runToEnd(runId: string) {
      let quietLooks = 0
      for (;;) {
        const { body } = await request('GET', `av-health/exports/${runId}`)
        if (!['starting', 'listing', 'importing', 'comparing'].includes(body.state)) {
          await settled(runId)
          return (await request('GET', `av-health/exports/${runId}`)).body
        }
        // Each look is work for the app.
        await new Promise((resolve) => setTimeout(resolve, 50))
        // A slow machine must not use up the time limit of a call.
        if (sleeps.limits > 0 && sleeps.waits === 0) continue
        // Something may wait for a timer that no row shows, such as the retry after a lost worker.
        if (!waitsForTime(body) && sleeps.waits === 0 && ++quietLooks < 30) continue
        quietLooks = 0
        const leftMs = Date.parse(body.waiting?.until ?? '') - clock.now().getTime()
        // A run that says until when it waits does nothing before. Two hours are those until it is taken over.
        clock.advance(leftMs > 0 && leftMs < HOUR_MS ? leftMs : 10_000)
      }
    },
    async stop() {
      await host.stop()
      await simulator.stop()
    },
  }
}

interface Progress {
  state: string
  reason: string | null
  files: { state: string; attempts: number }[]
}

/** Whether nothing is under way and what is left has been tried: then only time can help. */
function waitsForTime({ state, reason, files }: Progress): boolean {
  if (state !== 'importing') return reason !== null
  const open = files.filter((file) => file.state !== 'imported' && file.state !== 'failed')
  return open.length > 0 && open.every((file) => file.state !== 'importing' && file.attempts > 0)
}

const checkDescribed = createAnswerCheck(describeRoutes(httpRoutes))

/** Holds every answer to the schema that its route declares and to both descriptions, whatever else a test looks at. */
function checkAnswer(method: string, path: string, response: Response, body: unknown): void {
  const contentType = response.headers.get('content-type')
  checkDescribed({ method, path, status: response.status, contentType, body })
  if (contentType?.startsWith('application/problem+json')) {
    problemSchema.parse(body)
    return
  }
  const template = findPath(
    httpRoutes.map((route) => `/${route.path}`),
    path,
    (one) => httpRoutes.some((route) => `/${route.path}` === one && route.method === method),
  )
  const found = httpRoutes.find((route) => `/${route.path}` === template && route.method === method)
  found?.route.answers[response.status]?.body?.parse(body)
}
