import { Cron } from 'croner'
import { z } from 'zod'
import type { App } from '../app.ts'
import { ConfigError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { defineRoute } from '../platform/route.ts'
import { type UpstreamReport, upstreamReportSchema } from '../platform/upstream-watch.ts'
import type { AvHealthSection } from './av-health-section.ts'
import type { DefenderSection } from './defender-section.ts'
import { VERSION } from './version.ts'

/** What the status works with. */
export interface StatusParts {
  app: App
  log: Log
}

const route = defineRoute<StatusParts>()
const healthSchema = z.strictObject({ status: z.enum(['ok', 'unconfigured']) })

/** Whether the app can do anything at all; no detail and no I/O, since anybody may ask. */
export const health = route({
  name: 'health',
  method: 'GET',
  path: 'health',
  auth: 'anonymous',
  summary: 'Whether the app is up',
  answers: {
    200: { description: 'At least one section is usable.', body: healthSchema },
    503: { description: 'No section is set up.', body: healthSchema },
  },
  async handle(_input, { app }) {
    const usable = app.isConfigured()
    return { status: usable ? 200 : 503, body: { status: usable ? 'ok' : 'unconfigured' } }
  },
})

const problemSchema = z.strictObject({ title: z.string(), remedy: z.string() })
const budgetSchema = z.strictObject({ minuteLeft: z.int(), hourLeft: z.int(), stoppedUntil: z.string().nullable() })

const statusSchema = z.strictObject({
  version: z.string(),
  time: z.string(),
  overall: z.enum(['ok', 'degraded', 'stopped']),
  sections: z.strictObject({
    avHealth: z.strictObject({ state: z.enum(['ok', 'unconfigured', 'degraded']), problems: z.array(problemSchema) }),
  }),
  upstreams: z.strictObject({
    defender: upstreamReportSchema.extend({ budgets: z.record(z.string(), budgetSchema) }),
  }),
  avHealth: z
    .strictObject({
      current: z
        .strictObject({
          runId: z.string(),
          generatedTime: z.string().nullable(),
          devices: z.int(),
          ageSeconds: z.int().nullable(),
        })
        .nullable(),
      lastRun: z
        .strictObject({
          runId: z.string(),
          state: z.string(),
          reason: z.string().nullable(),
          endedAt: z.string().nullable(),
        })
        .nullable(),
      nextRunAt: z.string().nullable(),
    })
    .nullable(),
})

type Status = z.infer<typeof statusSchema>

/** What an operator needs to know, and what to do about it; always 200. */
export const status = route({
  name: 'status',
  method: 'GET',
  path: 'status',
  summary: 'How every flow fares, and what is left to do',
  answers: { 200: { description: 'The status.', body: statusSchema } },
  async handle(_input, { app, log }) {
    const time = app.clock.now().toISOString()
    const head = { version: VERSION, time }
    let section: AvHealthSection
    let upstream: DefenderSection
    try {
      section = await app.avHealth()
      upstream = await app.defender()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return { status: 200, body: { ...head, ...unconfigured(error) } satisfies Status }
    }
    const { runs } = section.engine(log)
    const [current, [last], report] = await Promise.all([runs.current(), runs.runs(1), upstream.watch.report()])
    const problems = [...upstreamProblems(report), ...runProblems(last)]
    const since = current?.generatedTime ?? current?.publishedAt
    const body: Status = {
      ...head,
      overall: problems.length > 0 ? 'degraded' : 'ok',
      sections: { avHealth: { state: problems.length > 0 ? 'degraded' : 'ok', problems } },
      upstreams: { defender: { ...report, budgets: await upstream.budget.report() } },
      avHealth: {
        current: current
          ? {
              runId: current.runId,
              generatedTime: current.generatedTime,
              devices: current.devices,
              ageSeconds: since ? Math.round((Date.parse(time) - Date.parse(since)) / 1000) : null,
            }
          : null,
        lastRun: last ? { runId: last.runId, state: last.state, reason: last.reason, endedAt: last.endedAt } : null,
        nextRunAt: new Cron(section.schedule, { timezone: 'UTC' }).nextRun(time)?.toISOString() ?? null,
      },
    }
    return { status: 200, body }
  },
})

function unconfigured({ problems }: ConfigError): Omit<Status, 'version' | 'time'> {
  return {
    overall: 'stopped',
    sections: {
      avHealth: {
        state: 'unconfigured',
        problems: problems.map(({ setting, problem }) => ({
          title: `${setting} ${problem}`,
          remedy: `Set ${setting} in the settings of the function app.`,
        })),
      },
    },
    upstreams: { defender: { state: 'unknown', lastOkAt: null, lastError: null, budgets: {} } },
    avHealth: null,
  }
}

const upstreamRemedies: Partial<Record<UpstreamReport['state'], string>> = {
  forbidden:
    "Grant the app's identity the missing app role on WindowsDefenderATP; new roles show in tokens after hours.",
  gone: 'The route is gone: check DEFENDER_CLOUD and DEFENDER_BASE_URL, and whether Microsoft has retired the API.',
  throttled: 'Another app may be using the same app registration: limits count per application and tenant.',
  unreachable: 'Check the network of the function app and the health of the service; the app tries again by itself.',
}

function upstreamProblems({ state, lastError }: UpstreamReport) {
  const remedy = upstreamRemedies[state]
  if (!remedy) return []
  const missing = lastError && lastError.missing.length > 0 ? ` (missing: ${lastError.missing.join(' or ')})` : ''
  return [{ title: `Defender is ${state}: ${lastError?.title ?? ''}${missing}`, remedy }]
}

function runProblems(last: { runId: string; state: string; reason: string | null } | undefined) {
  if (last?.state !== 'failed') return []
  return [
    {
      title: `Export run ${last.runId} failed: ${last.reason ?? 'no reason is known'}`,
      remedy: `GET /api/av-health/exports/${last.runId} shows every file; the next scheduled run begins anew.`,
    },
  ]
}
