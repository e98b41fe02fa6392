import { z } from 'zod'
import {
  afterSchema,
  limitSchema,
  nextLink,
  ownedPosition,
  positionOf,
  toCursor,
} from '../../platform/paging.ts'
import { notModified } from '../../platform/reply.ts'
import { tagOf } from '../cache.ts'
import { lookup, toRefusal } from '../lookup.ts'
import { LATEST, scanStates } from '../source.ts'
import { isOver, stateOf } from '../sources/tenable.ts'
import {
  cachedSchema,
  idSchema,
  notFound,
  open,
  rawSchema,
  reply,
  scanAnswerSchema,
  scanRoute,
} from './reply.ts'

const idParam = z.strictObject({ id: idSchema })
const text = z.string().nullable()

export const showScan = scanRoute({
  name: 'show-tenable-scan',
  method: 'GET',
  path: 'scan-history/tenable/scans/{id}',
  summary: 'One run of a scan, the latest by default',
  params: idParam,
  query: z.strictObject({
    run: idSchema
      .refine((run) => run !== LATEST, 'must be the number or the UUID of a run')
      .optional()
      .describe('The number or the UUID of a run; the latest by default.'),
    raw: rawSchema,
  }),
  answers: { 200: { description: 'The run.', body: scanAnswerSchema }, 304: notModified },
  async handle({ params: { id }, query: { run, raw }, ifNoneMatch }, parts) {
    const { scan } = await parts.tenable()
    const entry = (await lookup(parts, scan, [id], run)).get(id)
    if (!entry) throw notFound(run === undefined ? 'scan' : 'run')
    const { body, tag, final } = await open(entry, raw)
    // Another run may be the latest soon.
    return reply(body, tag, final && run !== undefined, {
      ifNoneMatch,
      ...(raw && { variant: 'raw' }),
    })
  },
})

const runSchema = z.strictObject({
  id: text,
  number: z.int().nullable(),
  state: z.enum(scanStates),
  upstreamState: text,
  startedAt: text,
  endedAt: text,
  archived: z.boolean().nullable(),
})
const pageSchema = z.object({ runs: z.array(runSchema), next: z.int().nullable() })

export const listRuns = scanRoute({
  name: 'list-tenable-runs',
  method: 'GET',
  path: 'scan-history/tenable/scans/{id}/runs',
  summary: 'The runs of a scan, newest first',
  params: idParam,
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('tenable-runs', ownedPosition(z.int().min(0).max(1_000_000))),
  }),
  answers: {
    200: {
      description: 'A page of runs. Scans that were imported, or are triggered, have none to list.',
      body: z.strictObject({ runs: z.array(runSchema), next: text, cached: cachedSchema }),
    },
    304: notModified,
  },
  async handle({ params: { id }, query: { limit, after }, ifNoneMatch }, parts) {
    const offset = positionOf(id, after) ?? 0
    const { runs } = await parts.tenable()
    const entry = (await lookup(parts, runs, [id], `${limit}-${offset}`)).get(id)
    if (!entry) throw notFound('scan')
    const { body, tag } = await open(entry, false)
    const page = pageSchema.parse(body)
    const next = page.next === null ? null : toCursor('tenable-runs', [id, page.next])
    const variant = `${offset}-${limit}`
    const headers = nextLink(`/api/scan-history/tenable/scans/${id}/runs`, { limit }, next)
    return reply({ ...page, next, cached: body.cached }, tag, false, {
      ifNoneMatch,
      variant,
      headers,
    })
  },
})

export const showStatus = scanRoute({
  name: 'show-tenable-status',
  method: 'GET',
  path: 'scan-history/tenable/scans/{id}/status',
  summary: 'How the latest run of a scan stands; cheap, and never out of the cache',
  params: idParam,
  answers: {
    200: {
      description: 'The state.',
      body: z.strictObject({
        id: z.string(),
        state: z.enum(scanStates),
        upstreamState: text,
        over: z.boolean(),
      }),
    },
    304: notModified,
  },
  async handle({ params: { id }, ifNoneMatch }, parts) {
    const { status } = await parts.tenable()
    const upstreamState = await status(id).catch((error: unknown): never => {
      throw toRefusal(error)
    })
    if (upstreamState === undefined) throw notFound('scan')
    const state = stateOf(upstreamState)
    const headers = { 'cache-control': 'no-cache' }
    const body = { id, state, upstreamState, over: isOver(state) }
    return reply(body, tagOf(upstreamState), false, { ifNoneMatch, headers })
  },
})
