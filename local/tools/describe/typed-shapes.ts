import { filterFields } from '../../../shared/app/sections/events.ts'
import { columns } from '../../../shared/av-health/fields.ts'
import type { Schema } from './document.ts'
import { reference } from './schemas.ts'

const text: Schema = { type: 'string', nullable: true }
const list: Schema = { type: 'array', items: { type: 'string' } }
const object = (names: readonly string[], of: Schema = text): Schema => ({
  type: 'object',
  properties: Object.fromEntries(names.map((name) => [name, { ...of }])),
})

/** What the upstream sent, as it is. */
const free: Schema = { type: 'object', additionalProperties: true }

/** A row of a snapshot: a column without a value is absent. */
const row: Schema = {
  type: 'object',
  properties: Object.fromEntries(
    columns.map(({ name, type }) => [
      name,
      name === 'other' ? free : type === 'number' ? { type: 'number', nullable: true } : text,
    ]),
  ),
}

/** What is compared between snapshots; a change has those that it is about. */
const state = object([
  ...['mode', 'signature', 'engine', 'platform', 'quickScan', 'fullScan', 'scans', 'seen'],
  ...['name', 'group', 'groupName', 'os', 'osVersion'],
])

/** Shapes of members whose schemas in the code take any object; the keys are those of the texts. */
export const typedShapes: Record<string, Schema> = {
  Filter: {
    type: 'object',
    properties: {
      ...object(['streams', 'types', ...Object.keys(filterFields)], list).properties,
      terminalOnly: { type: 'boolean' },
    },
  },
  'avHealth.device': row,
  'DeviceEvent.data.from': state,
  'DeviceEvent.data.to': state,
  'lastChanges.from': state,
  'lastChanges.to': state,
  'history.from': state,
  'history.to': state,
  'ListAvHealthChanges.changes.from': state,
  'ListAvHealthChanges.changes.to': state,
  relatedFileInfo: object(['fileIdentifier', 'fileIdentifierType']),
  'Overview.open': { type: 'object', additionalProperties: { $ref: reference('ChangesReport') } },
  'Overview.runs': { $ref: reference('ExportsReport') },
  'Item.item': free,
  'data.item': free,
  // A list where several answers of the upstream make one.
  raw: {},
}
