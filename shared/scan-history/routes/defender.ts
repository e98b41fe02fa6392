import { z } from 'zod'
import { afterSchema, limitSchema, nextLink, toCursor } from '../../platform/paging.ts'
import { notModified } from '../../platform/reply.ts'
import { tagOf } from '../cache.ts'
import { lookup } from '../lookup.ts'
import { scanSchema, scanStates } from '../source.ts'
import {
  cachedSchema,
  idSchema,
  notFound,
  open,
  rawSchema,
  reply,
  type ScanHistoryParts,
  scanAnswerSchema,
  scanRoute,
} from './reply.ts'

const MOST_SESSIONS = 20
const idParam = z.strictObject({ id: idSchema })
const text = z.string().nullable()

export const showSession = scanRoute({
  name: 'show-defender-session',
  method: 'GET',
  path: 'scan-history/defender/sessions/{id}',
  summary: 'One session of an authenticated scan',
  params: idParam,
  query: z.strictObject({ raw: rawSchema }),
  answers: { 200: { description: 'The session.', body: scanAnswerSchema }, 304: notModified },
  async handle({ params: { id }, query: { raw }, ifNoneMatch }, parts) {
    const { sessions } = await parts.defender()
    const entry = (await lookup(parts, sessions, [id])).get(id)
    if (!entry) throw notFound('session')
    const { body, tag, final } = await open(entry, raw)
    return reply(body, tag, final, { ifNoneMatch, ...(raw && { variant: 'raw' }) })
  },
})

export const listSessions = scanRoute({
  name: 'list-defender-sessions',
  method: 'GET',
  path: 'scan-history/defender/sessions',
  summary: 'Several sessions at once, in one call to Defender',
  query: z.strictObject({
    id: z
      .array(idSchema)
      .min(1)
      .max(MOST_SESSIONS)
      .describe(`Stands once for every session, up to ${MOST_SESSIONS} times.`)
      .meta({ many: true }),
    raw: rawSchema,
  }),
  answers: {
    200: {
      description:
        'The sessions that there are, in the order of their ids, and the ids of those that are not there.',
      body: z.strictObject({ sessions: z.array(scanAnswerSchema), notFound: z.array(z.string()) }),
    },
    304: notModified,
    404: { description: 'None of them is there.' },
  },
  async handle({ query: { id, raw }, ifNoneMatch }, parts) {
    const ids = [...new Set(id)].sort()
    const { sessions } = await parts.defender()
    const entries = await lookup(parts, sessions, ids)
    if (entries.size === 0) throw notFound('session')
    const opened = await Promise.all([...entries.values()].map((entry) => open(entry, raw)))
    const missing = ids.filter((one) => !entries.has(one))
    const tag = tagOf(...opened.map((one) => one.tag), ...missing)
    const body = { sessions: opened.map((one) => one.body), notFound: missing }
    const fixed = missing.length === 0 && opened.every(({ final }) => final)
    return reply(body, tag, fixed, { ifNoneMatch, ...(raw && { variant: 'raw' }) })
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

async function definitionsOf(parts: ScanHistoryParts) {
  const { definitions } = await parts.defender()
  const entry = (await lookup(parts, definitions, [DEFINITIONS])).get(DEFINITIONS)
  const list = entry ? definitionsSchema.parse(entry.answer).definitions : []
  return { list, tag: entry?.tag ?? '', cached: entry?.cachedAt ? { at: entry.cachedAt } : null }
}

export const listDefinitions = scanRoute({
  name: 'list-defender-definitions',
  method: 'GET',
  path: 'scan-history/defender/definitions',
  summary: 'The definitions of authenticated scans, without their credentials',
  query: z.strictObject({ limit: limitSchema, after: afterSchema('definitions', offset) }),
  answers: {
    200: {
      description: 'A page of definitions in the order of their ids.',
      body: z.strictObject({
        definitions: z.array(definitionSchema),
        next: text,
        cached: cachedSchema,
      }),
    },
    304: notModified,
  },
  async handle({ query: { limit, after = 0 }, ifNoneMatch }, parts) {
    const { list, tag, cached } = await definitionsOf(parts)
    const next = list.length > after + limit ? toCursor('definitions', after + limit) : null
    const body = { definitions: list.slice(after, after + limit), next, cached }
    const headers = nextLink('/api/scan-history/defender/definitions', { limit }, next)
    return reply(body, tag, false, { ifNoneMatch, variant: `${after}-${limit}`, headers })
  },
})

const sessionsSchema = z.object({ sessions: z.array(scanSchema), next: z.int().nullable() })

export const showDefinition = scanRoute({
  name: 'show-defender-definition',
  method: 'GET',
  path: 'scan-history/defender/definitions/{id}',
  summary: 'One definition with a page of its sessions',
  params: idParam,
  query: z.strictObject({
    limit: limitSchema,
    after: afterSchema('definition-sessions', offset),
    raw: rawSchema,
  }),
  answers: {
    200: {
      description: 'The definition (null when it is no longer listed) and its sessions.',
      body: z.strictObject({
        definition: definitionSchema.nullable(),
        sessions: z.array(scanSchema),
        next: text,
        cached: cachedSchema,
        raw: z.unknown().optional(),
      }),
    },
    304: notModified,
  },
  async handle({ params: { id }, query: { limit, after = 0, raw }, ifNoneMatch }, parts) {
    const { sessionsOfDefinition } = await parts.defender()
    const known = await definitionsOf(parts)
    const definition = known.list.find((one) => one.id?.toLowerCase() === id.toLowerCase()) ?? null
    const entry = (await lookup(parts, sessionsOfDefinition, [id], `${limit}-${after}`)).get(id)
    const opened = entry && (await open(entry, raw))
    const page = sessionsSchema.parse(opened?.body ?? { sessions: [], next: null })
    if (!definition && page.sessions.length === 0 && after === 0) throw notFound('definition')
    const next = page.next === null ? null : toCursor('definition-sessions', page.next)
    const body = {
      cached: known.cached,
      ...opened?.body,
      definition,
      sessions: page.sessions,
      next,
    }
    const tag = tagOf(JSON.stringify(definition), opened?.tag ?? '')
    const variant = `${after}-${limit}${raw ? '-raw' : ''}`
    const headers = nextLink(`/api/scan-history/defender/definitions/${id}`, { limit }, next)
    return reply(body, tag, false, { ifNoneMatch, variant, headers })
  },
})
