import { z } from 'zod'
import { isNamed, isText, nameFilter, textFilter } from '../../platform/forms.ts'
import { cutPage } from '../../platform/paging.ts'
import {
  durationSchema,
  momentSchema,
  toMs,
  toPast,
  toTime,
  wrongQuery,
} from '../../platform/request.ts'
import { timeKey } from '../../platform/time.ts'
import { type KnownItem, openSince, toItemData, toKnown } from '../item.ts'
import { readReport } from '../poll-state.ts'
import type { Resource } from '../resource.ts'
import { resources } from '../resources/index.ts'
import { changesRoute, type ItemView, itemSchema, resourceParam, viewItem } from './items.ts'

/** Filters by the text of a field. */
const textFilters = {
  state: textFilter.describe('One or several, with commas.'),
  type: textFilter.describe('One or several, with commas.'),
  machineId: textFilter,
  name: nameFilter(1).describe('The name of the device, or its beginning with `*` at the end.'),
  requestor: textFilter,
  triggeringAlertId: textFilter,
}
type TextFilter = keyof typeof textFilters

/** The newest item first: by creation time, then by id. */
type Position = [createdAt: string, id: string]

const position = z.tuple([z.string(), z.string()])

const csvColumns = [
  ...['id', 'resource', 'state', 'terminal', 'reason', 'type', 'scope', 'machineId'],
  ...['computerDnsName', 'requestor', 'requestorComment', 'requestSource', 'triggeringAlertId'],
  ...['createdAt', 'updatedAt', 'startedAt', 'endedAt', 'openSince', 'duplicateOf'],
  'lastCheckedAt',
]

export const listItems = changesRoute({
  name: 'list-items',
  method: 'GET',
  path: 'changes/{resource}/items',
  summary: 'The watched items, newest first',
  mcp: 'Machine actions or investigations that are open, or ended in the last days, newest first. Older ones are not there. State Pending,InProgress are the open machine actions.',
  params: z.strictObject({ resource: resourceParam }),
  query: z.strictObject({
    ...textFilters,
    openFor: durationSchema.optional().describe('Open for at least so long: `7d`, `12h`, `30m`.'),
    createdAfter: momentSchema
      .optional()
      .describe('Created at this time or later, or so long ago: `7d`.'),
    createdBefore: momentSchema.optional().describe('Created before this time, or so long ago.'),
  }),
  answers: { 200: { description: 'A page of items.' } },
  list: { name: 'items', of: itemSchema, position, csv: csvColumns },
  async handle({ params, query: { limit, after, ...query } }, deps) {
    const context = deps.context(params.resource)
    const { resource, feed, clock } = context
    const { openFor, createdAfter, createdBefore, ...texts } = query
    const { endedAt: lastCheckedAt = null, unknownStates = {} } = (await readReport(context)) ?? {}
    checkFilter(resource, texts, Object.keys(unknownStates))
    const now = clock.now()
    const openBefore = openFor && now.getTime() - toMs(openFor)
    const first = createdAfter && toPast('query.createdAfter', createdAfter, now, createdBefore)
    const end = createdBefore && toTime(createdBefore, now)
    const isWantedTime = (item: ItemView, known: KnownItem) => {
      const createdMs = Date.parse(openSince(known))
      return (
        (!openBefore || Date.parse(item.openSince ?? '') <= openBefore) &&
        (!first || createdMs >= Date.parse(first)) &&
        (!end || createdMs < Date.parse(end))
      )
    }
    const same = new Map<string, string[]>()
    let page: { at: Position; item: ItemView }[] = []
    for await (const { id, columns } of feed.eachItem(resource.name)) {
      const known = toKnown(id, columns)
      // The next poll writes it again.
      if (!known) continue
      const item = viewItem(context, known, toItemData(columns), lastCheckedAt)
      const key = duplicateKey(resource, item)
      if (key !== undefined) same.set(key, [...(same.get(key) ?? []), id])
      const at: Position = [timeKey(openSince(known)), id]
      if (after && !isNewer(after, at)) continue
      if (!isWantedTime(item, known) || !isWantedText(item, texts)) continue
      page.push({ at, item })
      // Only a page is in memory.
      if (page.length > 2 * limit) page = cut(page, limit + 1)
    }
    const { page: found, next } = cutPage(cut(page, limit + 1), limit, ({ at }) => at)
    const items = found.map(({ item }) => {
      const key = duplicateKey(resource, item)
      if (key === undefined) return item
      return { ...item, duplicateOf: same.get(key)?.filter((id) => id !== item.id) ?? [] }
    })
    return { status: 200, body: { items, next } }
  },
})

const isNewer = ([time, id]: Position, [otherTime, otherId]: Position) =>
  time === otherTime ? id > otherId : time > otherTime

const cut = <T extends { at: Position }>(page: T[], count: number): T[] =>
  page.sort((a, b) => (isNewer(a.at, b.at) ? -1 : 1)).slice(0, count)

/** Open items with the same key do the same; undefined for an item that is over, or where there is no such thing. */
export function duplicateKey({ duplicatesBy }: Resource, item: ItemView): string | undefined {
  if (item.openSince === null || !duplicatesBy) return undefined
  const values = duplicatesBy.map((field) => item[field])
  return values.every((value) => typeof value === 'string') ? JSON.stringify(values) : undefined
}

/** The words of a filter: states and types have no commas. */
const wordsOf = (name: string, filter: string): string[] =>
  (['state', 'type'].includes(name) ? filter.split(',') : [filter]).map((word) => word.trim())

/** The field of an item that a filter reads. */
const fieldOf = (name: string) => (name === 'name' ? 'computerDnsName' : name)

const isWantedText = (item: ItemView, texts: Partial<Record<TextFilter, string>>) =>
  Object.entries(texts).every(([name, filter]) => {
    const value = item[fieldOf(name)]
    if (filter === undefined) return true
    if (typeof value !== 'string') return false
    if (name === 'name') return isNamed(value, filter)
    return wordsOf(name, filter).some((word) => isText(value, word))
  })

/** Refuses a filter that no item could pass: an empty list would say that there is none. */
function checkFilter(
  { data, openStates, terminalStates }: Resource,
  wanted: Record<string, string | undefined>,
  unknownStates: string[],
): void {
  const states = [...openStates, ...terminalStates, ...unknownStates]
  const isState = (word: string) => states.some((state) => isText(state, word))
  for (const [name, filter] of Object.entries(wanted)) {
    if (filter === undefined) continue
    const owners = resources.filter((one) => fieldOf(name) in one.data).map((one) => one.name)
    if (name !== 'state' && !(fieldOf(name) in data))
      throw wrongQuery(name, `is only a filter of ${owners.join(', ')}`)
    if (name === 'state' && !wordsOf(name, filter).every(isState))
      throw wrongQuery(name, `must be of ${states.join(', ')}, separated by commas`)
  }
}
