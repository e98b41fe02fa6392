import { z } from 'zod'
import { RUN_ID } from '../../exports/names.ts'
import { afterSchema, cutPage, limitSchema, nextLink, toCursor } from '../../platform/paging.ts'
import { avHealthRoute } from '../parts.ts'

const snapshotSchema = z.strictObject({
  runId: z.string(),
  generatedTime: z.string().nullable(),
  method: z.enum(['files', 'json']).nullable(),
  devices: z.int(),
  publishedAt: z.string().nullable(),
  current: z.boolean(),
  table: z.string().nullable().describe('The table in the data account that holds it.'),
})

export const listSnapshots = avHealthRoute({
  name: 'list-av-health-snapshots',
  method: 'GET',
  path: 'av-health/snapshots',
  summary: 'The snapshots that are kept, newest first',
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('snapshots', z.string().regex(RUN_ID)),
  }),
  answers: {
    200: {
      description: 'A page of snapshots.',
      body: z.strictObject({ snapshots: z.array(snapshotSchema), next: z.string().nullable() }),
    },
  },
  async handle({ query: { limit, after } }, { engine }) {
    const current = await engine.runs.current()
    const published = (await engine.runs.runs(10_000, after)).filter(
      (run) => run.state === 'published' && run.snapshot,
    )
    const { page, next } = cutPage(published, limit, ({ runId }) => toCursor('snapshots', runId))
    const snapshots = page.map((run) => ({
      runId: run.runId,
      generatedTime: run.generatedTime,
      method: run.method,
      devices: run.written,
      publishedAt: run.endedAt,
      current: run.runId === current?.runId,
      table: run.snapshot,
    }))
    return {
      status: 200,
      body: { snapshots, next },
      headers: nextLink('/api/av-health/snapshots', { limit }, next),
    }
  },
})
