import { z } from 'zod'
import { tagOf } from '../cache.ts'
import { lookup, toCallerError } from '../lookup.ts'
import { LATEST, scanStates } from '../source.ts'
import { isOver, stateOf } from '../sources/tenable.ts'
import {
  cachedSchema,
  idSchema,
  keepFor,
  notFound,
  open,
  rawSchema,
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
  }),
  answers: { 200: { description: 'The run.', body: scanAnswerSchema } },
  cached: { raw: rawSchema },
  async handle({ params: { id }, query: { run, raw } }, deps) {
    const { scan } = await deps.tenable()
    const entry = (await lookup(deps, scan, [id], run)).get(id)
    if (!entry) throw notFound(run === undefined ? 'scan' : 'run')
    const { body, tag, final } = await open(entry, raw)
    // Another run may be the latest soon.
    return { status: 200, body, tag, headers: keepFor(final && run !== undefined) }
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
  answers: {
    200: {
      description: 'A page of runs. Scans that were imported, or are triggered, have none to list.',
    },
  },
  list: {
    name: 'tenable-runs',
    member: 'runs',
    of: runSchema,
    owner: 'id',
    position: z.int().min(0).max(1_000_000),
    more: { cached: cachedSchema },
  },
  cached: {},
  async handle({ params: { id }, query: { limit, after = 0 } }, deps) {
    const { runs } = await deps.tenable()
    const entry = (await lookup(deps, runs, [id], `${limit}-${after}`)).get(id)
    if (!entry) throw notFound('scan')
    const { body, tag } = await open(entry, false)
    const page = { ...pageSchema.parse(body), cached: body.cached }
    return { status: 200, body: page, tag, headers: keepFor(false) }
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
  },
  cached: {},
  async handle({ params: { id } }, deps) {
    const { status } = await deps.tenable()
    const upstreamState = await status(id).catch((error: unknown): never => {
      throw toCallerError(error)
    })
    if (upstreamState === undefined) throw notFound('scan')
    const state = stateOf(upstreamState)
    const headers = { 'cache-control': 'no-cache' }
    const body = { id, state, upstreamState, over: isOver(state) }
    return { status: 200, body, tag: tagOf(upstreamState), headers }
  },
})
