import { z } from 'zod'
import { tagOf } from '../cache.ts'
import { lookup } from '../lookup.ts'
import { scanSchema, scanStates } from '../source.ts'
import {
  cachedSchema,
  idSchema,
  notFound,
  ok,
  okEntry,
  rawSchema,
  type ScanHistoryDeps,
  scanAnswerSchema,
  scanRoute,
  toAnswer,
} from './reply.ts'

const MAX_SESSIONS = 20
// Case does not count in a GUID.
const id = idSchema.toLowerCase()
const idParam = z.strictObject({ id })
const text = z.string().nullable()

export const showSession = scanRoute({
  name: 'show-defender-session',
  method: 'GET',
  path: 'scan-history/defender/sessions/{id}',
  summary: 'One session of an authenticated scan',
  mcp: 'One session of an authenticated scan. completeness says what is missing; null means not known, not zero.',
  params: idParam,
  answers: { 200: { description: 'The session.', body: scanAnswerSchema } },
  cached: { raw: rawSchema },
  async handle({ params: { id }, query: { raw } }, deps) {
    const { sessions } = await deps.defender()
    const entry = (await lookup(deps, sessions, [id])).get(id)
    if (!entry) throw notFound('session')
    return okEntry(entry, raw)
  },
})

export const listSessions = scanRoute({
  name: 'list-defender-sessions',
  method: 'GET',
  path: 'scan-history/defender/sessions',
  summary: 'Several sessions at once, in one call to Defender',
  query: z.strictObject({
    id: z
      .array(id)
      .min(1)
      .max(MAX_SESSIONS)
      .describe(`The id of a session. Repeat it for several, or use commas; up to ${MAX_SESSIONS}.`)
      .meta({ many: true }),
  }),
  answers: {
    200: {
      description:
        'The sessions that exist, in the order of their ids, and the ids without a session.',
      body: z.strictObject({ sessions: z.array(scanAnswerSchema), notFound: z.array(z.string()) }),
    },
    404: { description: 'None of the sessions exists.' },
  },
  cached: { raw: rawSchema },
  async handle({ query: { id, raw } }, deps) {
    const ids = [...new Set(id)].sort()
    const { sessions } = await deps.defender()
    const entries = await lookup(deps, sessions, ids)
    if (entries.size === 0) throw notFound('session')
    const found = await Promise.all([...entries.values()].map((entry) => toAnswer(entry, raw)))
    const missing = ids.filter((one) => !entries.has(one))
    const tag = tagOf(...found.map((one) => one.tag), ...missing)
    const body = { sessions: found.map((one) => one.body), notFound: missing }
    const isFinal = missing.length === 0 && found.every(({ final }) => final)
    return ok({ body }, tag, isFinal)
  },
})

const definitionSchema = z.strictObject({
  id: text,
  name: text,
  orgId: text,
  isActive: z.boolean().nullable(),
  createdBy: text,
  intervalInHours: z.int().nullable(),
  scanType: text,
  targetType: text,
  targets: z.array(z.string()).nullable(),
  reason: z
    .enum(['scan-kind-retired'])
    .nullable()
    .describe('Why no new session will come: Defender no longer scans Windows devices.'),
  latestScan: z
    .strictObject({
      state: z.enum(scanStates),
      upstreamState: text,
      failureReason: text,
      executedAt: text,
    })
    .nullable(),
  scanner: z
    .strictObject({ id: text, machineId: text, machineName: text, lastSeen: text })
    .nullable(),
})

const offset = z.int().min(0).max(1_000_000)
const definitionsSchema = z.object({ definitions: z.array(definitionSchema) })
const DEFINITIONS = 'all'

async function loadDefinitions(deps: ScanHistoryDeps) {
  const { definitions } = await deps.defender()
  const entry = (await lookup(deps, definitions, [DEFINITIONS])).get(DEFINITIONS)
  const list = entry ? definitionsSchema.parse(await entry.answer()).definitions : []
  return { list, tag: entry?.tag ?? '', cached: entry?.cachedAt ? { at: entry.cachedAt } : null }
}

export const listDefinitions = scanRoute({
  name: 'list-defender-definitions',
  method: 'GET',
  path: 'scan-history/defender/definitions',
  summary: 'The definitions of authenticated scans, without credentials',
  mcp: 'Definitions of authenticated scans with their last scan, without credentials. It does not tell findings.',
  answers: { 200: { description: 'A page of definitions, in the order of their ids.' } },
  list: {
    name: 'definitions',
    of: definitionSchema,
    position: offset,
    more: { cached: cachedSchema },
  },
  cached: {},
  async handle({ query: { limit, after = 0 } }, deps) {
    const { list, tag, cached } = await loadDefinitions(deps)
    const next = list.length > after + limit ? after + limit : null
    const body = { definitions: list.slice(after, after + limit), next, cached }
    return ok({ body }, tag)
  },
})

const sessionsSchema = z.object({ sessions: z.array(scanSchema), next: z.int().nullable() })

export const showDefinition = scanRoute({
  name: 'show-defender-definition',
  method: 'GET',
  path: 'scan-history/defender/definitions/{id}',
  summary: 'One definition and a page of its sessions',
  mcp: 'One scan definition and a page of its sessions. Defender keeps only the newest sessions.',
  params: idParam,
  answers: {
    200: {
      description: 'The definition (null if Defender no longer lists it) and its sessions.',
      body: z.strictObject({
        definition: definitionSchema.nullable(),
        sessions: z.array(scanSchema),
        next: text,
        cached: cachedSchema,
        raw: z.unknown().optional(),
      }),
    },
  },
  list: { name: 'definition-sessions', position: offset },
  cached: { raw: rawSchema },
  async handle({ params: { id }, query: { limit, after = 0, raw } }, deps) {
    const { sessionsOfDefinition } = await deps.defender()
    const { list, cached } = await loadDefinitions(deps)
    const definition = list.find((one) => one.id?.toLowerCase() === id) ?? null
    const entry = (await lookup(deps, sessionsOfDefinition, [id], `${limit}-${after}`)).get(id)
    const answer = entry && (await toAnswer(entry, raw))
    const page = sessionsSchema.parse(answer?.body ?? { sessions: [], next: null })
    if (!definition && page.sessions.length === 0 && after === 0) throw notFound('definition')
    const body = { cached, ...answer?.body, definition, ...page }
    const tag = tagOf(JSON.stringify(definition), answer?.tag ?? '')
    return ok({ body }, tag)
  },
})
