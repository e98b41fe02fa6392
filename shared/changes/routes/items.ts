import { z } from 'zod'
import { cloudEventSchema } from '../../events/event.ts'
import { RequestError } from '../../platform/errors.ts'
import {
  afterSchema,
  cutPage,
  limitSchema,
  nextLink,
  ownedPosition,
  positionOf,
  toCursor,
} from '../../platform/paging.ts'
import { askUpstream, findKnown, type ItemView, viewItem } from '../find-item.ts'
import { toItemData, toKnown } from '../item-row.ts'
import { changesRoute } from '../parts.ts'
import { readReport } from '../poll-report.ts'
import { itemIdSchema } from '../resource.ts'
import { resourceNames } from '../resources/index.ts'
import type { Watch } from '../watch.ts'

/** The resource in a path. */
export const resourceParam = z.enum(resourceNames, {
  error: `must be one of ${resourceNames.join(', ')}`,
})

/** An item as answers show it. */
export const itemSchema = z.looseObject({
  id: z.string(),
  resource: z.enum(resourceNames),
  version: z.int(),
  state: z.string(),
  terminal: z.boolean(),
  openSince: z.string().nullable(),
  lastCheckedAt: z.string().nullable(),
})

const text = z.string().min(1).max(300).optional()
const fieldFilters = ['state', 'type', 'machineId', 'requestor', 'triggeringAlertId'] as const

export const listItems = changesRoute({
  name: 'list-items',
  method: 'GET',
  path: 'changes/{resource}/items',
  summary: 'The items that are watched',
  params: z.strictObject({ resource: resourceParam }),
  query: z.strictObject({
    state: text,
    type: text,
    machineId: text,
    requestor: text,
    triggeringAlertId: text,
    limit: limitSchema,
    after: afterSchema('items', ownedPosition(z.string())),
  }),
  answers: {
    200: {
      description: 'A page of items.',
      body: z.strictObject({ items: z.array(itemSchema), next: z.string().nullable() }),
    },
  },
  async handle({ params: { resource }, query: { limit, after, ...wanted } }, parts) {
    const watch = parts.watch(resource)
    const lastCheckedAt = (await readReport(watch))?.endedAt ?? null
    const items: ItemView[] = []
    for await (const { id, columns } of watch.feed.eachItem(
      resource,
      positionOf(resource, after),
    )) {
      const view = viewItem(watch, toKnown(id, columns), toItemData(columns), lastCheckedAt)
      if (fieldFilters.every((name) => isSame(wanted[name], view[name]))) items.push(view)
      if (items.length > limit) break
    }
    const { page, next } = cutPage(items, limit, ({ id }) => toCursor('items', [resource, id]))
    const path = `/api/changes/${resource}/items`
    return {
      status: 200,
      body: { items: page, next },
      headers: nextLink(path, { limit, ...wanted }, next),
    }
  },
})

const isSame = (wanted: string | undefined, value: unknown) =>
  wanted === undefined ||
  (typeof value === 'string' && value.toLowerCase() === wanted.toLowerCase())

export const showItem = changesRoute({
  name: 'show-item',
  method: 'GET',
  path: 'changes/{resource}/items/{id}',
  summary: 'One item with its whole known story',
  params: z.strictObject({ resource: resourceParam, id: itemIdSchema }),
  answers: {
    200: {
      description: 'The item.',
      body: z.strictObject({ item: itemSchema, events: z.array(cloudEventSchema) }),
    },
  },
  async handle({ params: { resource, id } }, parts) {
    const watch = parts.watch(resource)
    const item = (await findKnown(watch, id)) ?? (await askUpstream(watch, id))
    if (!item) throw unknownItem(resource, id)
    return { status: 200, body: { item, events: await storyOf(watch, item.id) } }
  },
})

/** Every event of an item that is still kept, in order. */
export const storyOf = ({ feed, resource }: Watch, id: string) =>
  feed.eventsAbout(resource.name, id)

export const unknownItem = (resource: string, id: string): RequestError =>
  new RequestError({
    status: 404,
    problem: 'item-not-found',
    title: 'There is no such item',
    detail: `Neither the app nor Defender knows ${id} among the ${resource}.`,
    remedy: `GET /api/changes/${resource}/items lists what is watched.`,
  })
