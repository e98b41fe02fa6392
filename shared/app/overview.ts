import { z } from 'zod'
import { createHistory } from '../av-health/history.ts'
import { summarySchema } from '../av-health/routes.ts'
import { resourceFor } from '../changes/resources/index.ts'
import { createStandings } from '../changes/standings.ts'
import { RequestError } from '../platform/errors.ts'
import { defineRoute } from '../platform/route.ts'
import { DEADLINE_MS, tryLoad } from './facts.ts'
import { type StatusDeps, status, statusSchema } from './status.ts'

const { version, overall, problems, sections, upstreams, notices } = statusSchema.shape
const { changes, avHealth, events, deliveries } = statusSchema.shape

const overviewSchema = z.strictObject({
  time: z.string(),
  status: z
    .strictObject({ version, overall, problems, sections, upstreams, notices })
    .describe('The status, in short.'),
  fleet: summarySchema
    .nullable()
    .describe('As in GET /api/av-health/summary; null before the first snapshot.'),
  standing: z
    .strictObject({
      asOf: z.string().nullable(),
      counts: z
        .record(z.string(), z.int())
        .nullable()
        .describe('Devices on which something holds.'),
    })
    .nullable(),
  open: changes.describe('Open items by resource, as in GET /api/status.'),
  runs: avHealth.describe('The exports, as in GET /api/status.'),
  waiting: z
    .strictObject({ events, deliveries })
    .describe('What waits to be delivered, as in GET /api/status.'),
})

/** One answer for a first screen: parts of other answers, made by the same code, so that they agree. */
export const overview = defineRoute<StatusDeps>()({
  name: 'overview',
  method: 'GET',
  path: 'overview',
  summary: 'The first screen: status, fleet, what is open and held, runs, what waits',
  mcp: 'The first answer to ask for: status, fleet, what is open and held, runs, what waits. It does not name devices.',
  answers: { 200: { description: 'The overview.', body: overviewSchema } },
  async handle(input, deps) {
    const { app, ...traced } = deps
    const deadline = AbortSignal.timeout(DEADLINE_MS)
    for (;;) {
      const [{ body }, loaded, standing] = await Promise.all([
        status.handle({ ...input, query: {} } as never, deps),
        tryLoad(deadline, async () =>
          createHistory((await app.avHealth()).engine(traced)).summary(),
        ).catch(unlessNoSnapshot),
        tryLoad(deadline, async () => {
          const { feed } = await app.events()
          return createStandings({ feed, resource: resourceFor('machine-actions') }).counts()
        }),
      ])
      const report = body as z.output<typeof statusSchema>
      const { time, changes, avHealth, events, deliveries } = report
      const { version, overall, problems, sections, upstreams, notices } = report
      const { value: fleet, missing, failure } = loaded
      const isRead = avHealth && !missing && !failure
      // A snapshot was published in between: no answer speaks of two.
      if (isRead && fleet?.snapshot.runId !== avHealth.current?.runId) continue
      return {
        status: 200,
        body: {
          time,
          status: { version, overall, problems, sections, upstreams, notices },
          fleet,
          standing: standing.value,
          open: changes,
          runs: avHealth,
          waiting: { events, deliveries },
        },
      }
    }
  },
})

function unlessNoSnapshot(error: unknown) {
  if (error instanceof RequestError && error.facts.status === 404)
    return { value: null, missing: null, failure: null }
  throw error
}
