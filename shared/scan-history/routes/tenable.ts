import { z } from 'zod'
import { tagOf } from '../cache.ts'
import { lookup, throwToCaller } from '../lookup.ts'
import { isOver, scanStates } from '../source.ts'
import {
  cachedSchema,
  notFound,
  ok,
  okEntry,
  rawSchema,
  scanAnswerSchema,
  scanRoute,
  toAnswer,
} from './reply.ts'

// Some UUIDs of Tenable are longer, or begin with `template-`.
const tenableId = z
  .string()
  .regex(
    /^(?!.{129})(?:[1-9]\d{0,15}|[\da-z]{8,}(?:-[\da-z]+)+)$/i,
    'must be a positive whole number or a UUID',
  )
const idParam = z.strictObject({ id: tenableId })
const text = z.string().nullable()

export const showScan = scanRoute({
  name: 'show-tenable-scan',
  method: 'GET',
  path: 'scan-history/tenable/scans/{id}',
  summary: 'One run of a scan, by default the latest',
  mcp: 'One run of a Tenable scan, by default the latest. Hosts of runs older than 35 days are not there; null means not known, not zero.',
  params: idParam,
  query: z.strictObject({
    run: tenableId.optional().describe('The number or the UUID of a run; by default the latest.'),
  }),
  answers: { 200: { description: 'The run.', body: scanAnswerSchema } },
  cached: { raw: rawSchema },
  async handle({ params: { id }, query: { run, raw } }, deps) {
    const { scan } = await deps.tenable()
    const entry = (await lookup(deps, scan, [id], run)).get(id)
    if (!entry) throw notFound(run === undefined ? 'scan' : 'run')
    // Soon another run may be the latest.
    return okEntry(entry, raw, run !== undefined)
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
  mcp: 'The runs of a Tenable scan, newest first. It does not tell their findings.',
  params: idParam,
  answers: {
    200: {
      description: 'A page of runs. Tenable lists no runs of imported and of triggered scans.',
    },
  },
  list: {
    name: 'tenable-runs',
    member: 'runs',
    of: runSchema,
    position: z.int().min(0).max(1_000_000),
    more: { cached: cachedSchema },
  },
  cached: {},
  async handle({ params: { id }, query: { limit, after = 0 } }, deps) {
    const { runs } = await deps.tenable()
    const entry = (await lookup(deps, runs, [id], `${limit}-${after}`)).get(id)
    if (!entry) throw notFound('scan')
    const { body, tag } = await toAnswer(entry, false)
    return ok({ body: { ...pageSchema.parse(body), cached: body.cached } }, tag)
  },
})

export const showStatus = scanRoute({
  name: 'show-tenable-status',
  method: 'GET',
  path: 'scan-history/tenable/scans/{id}/status',
  summary: 'The state of the latest run of a scan: a cheap call, never cached',
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
    const found = await status(id).catch(throwToCaller)
    if (!found) throw notFound('scan')
    const { state, upstreamState } = found
    const body = { id, state, upstreamState, over: isOver(state) }
    const headers = { 'cache-control': 'no-cache' }
    return { status: 200, body, tag: tagOf(state, upstreamState ?? ''), headers }
  },
})
