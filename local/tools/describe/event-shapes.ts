import { z } from 'zod'
import {
  CHANGES_SUMMARIZED,
  deviceTypes,
  SNAPSHOT_PUBLISHED,
} from '../../../shared/av-health/events.ts'
import { transitionKinds } from '../../../shared/av-health/transitions.ts'
import { changeTypes, type Resource } from '../../../shared/changes/resource.ts'
import { resources } from '../../../shared/changes/resources/index.ts'
import { itemSchema } from '../../../shared/changes/routes/items.ts'
import { TEST_TYPE } from '../../../shared/events/delivery/post.ts'
import { cloudEventSchema } from '../../../shared/events/event.ts'
import { subscriptionTypes } from '../../../shared/events/subscriptions/health.ts'
import { changesSchema } from '../../../shared/exports/run-record.ts'

const text = z.string().nullable()
const raw = z.record(z.string(), z.unknown())

/** The first and last members of the data of every change. */
const change = {
  id: z.string(),
  resource: z.string(),
  version: z.int().describe('Raised with every event of the item.'),
  from: text.describe('The state before; null when it appeared.'),
  to: text.describe('The state now; null when it is gone.'),
  terminal: z.boolean().describe('Whether nothing follows the state.'),
  reason: z.enum(['notFound', 'untracked']).nullable().describe('Why it is gone.'),
  machineId: text,
  computerDnsName: text,
  openSince: z.string().optional().describe('Of an overdue item: since when it is open.'),
  limitHours: z.number().optional().describe('Of an overdue item: how many hours are usual.'),
  item: raw.nullable().describe("Defender's own object; null where it is larger than 256 KiB."),
  itemOmitted: z.literal(true).optional(),
  fieldsCut: z
    .array(z.string())
    .optional()
    .describe('Which of these fields were too long: a text has its first 2,000 characters.'),
}

/** The members of an item that come from the item itself; a member of one resource only is optional. */
const itemMembers = Object.fromEntries(
  resources.flatMap(({ title, data }) =>
    Object.entries(data).map(([name, schema]) => [
      name,
      resources.every((one) => name in one.data)
        ? schema
        : (schema as z.ZodType).optional().describe(`Only of ${title}.`),
    ]),
  ),
)

/** An item with all its known members. */
export const itemShape = itemSchema.extend({
  reason: change.reason,
  ...itemMembers,
  item: change.item,
  fieldsCut: change.fieldsCut,
})

const rows = { parsed: z.int(), written: z.int(), duplicates: z.int(), rejected: z.int() }
const snapshot = z.strictObject({
  runId: z.string(),
  generatedTime: text,
  method: z.enum(['files', 'json']).nullable(),
  devices: z.int(),
  devicesBefore: z.int().nullable().describe('Devices of the snapshot before.'),
  unreadable: z
    .record(z.string(), z.int())
    .describe('How often a field was present and could not be read.'),
  counts: z.strictObject({ listed: z.int(), imported: z.int(), failed: z.int(), ...rows }),
  changes: changesSchema.nullable().describe('What changed since the snapshot before.'),
})

const values = z.record(z.string(), z.string().nullable())
const transition = z.strictObject({
  machineId: z.string(),
  computerDnsName: text,
  kind: z.enum(transitionKinds),
  from: values.describe('What was, by aspect; null is unknown.'),
  to: values,
  runId: z.string(),
  previousRunId: text.describe('The snapshot before.'),
  generatedTime: text,
})

const summary = z.strictObject({
  runId: z.string(),
  previousRunId: text,
  newMethod: z.boolean().describe('The snapshot before was read by the other method.'),
  counts: z.record(z.string(), z.int()).describe('Transitions without an event each, by kind.'),
})

const subscription = z.strictObject({
  subscription: z.string(),
  callbackHost: z.string(),
  state: z.enum(['active', 'failing', 'disabled']).optional(),
  since: text
    .optional()
    .describe(
      'The first failure after the last success; of dead letters: the beginning of the hour.',
    ),
  at: z.string().optional().describe('The last failure.'),
  status: z.int().nullable().optional(),
  reason: z.string().optional(),
  disabledReason: text.optional(),
  until: z
    .string()
    .optional()
    .describe('The end of the hour in which deliveries became dead letters.'),
  count: z.int().optional().describe('How many deliveries became dead letters in this hour.'),
  expiresAt: z.string().optional().describe('When the subscription ended.'),
  pending: z.int().optional().describe('How many deliveries were pending then.'),
  dead: z.int().optional().describe('How many dead letters it had then.'),
})

const gap = z.strictObject({ stream: z.string(), fromSeq: z.int(), oldestSeq: z.int() })

const eventOf = (types: string[], data: z.ZodObject) =>
  cloudEventSchema.extend({ type: z.enum(types), data })

/** The name of the shape of a kind's events, for instance `MachineActionEvent`. */
const shapeName = ({ eventPrefix }: Resource) =>
  `${eventPrefix.replace(/^.*\./, '').replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}Event`

/** Every shape of event by its name; `type` distinguishes them. */
export const eventShapes: Record<string, ReturnType<typeof eventOf>> = {
  ...Object.fromEntries(
    resources.map((resource) => [
      shapeName(resource),
      eventOf(changeTypes(resource), z.strictObject({ ...change, ...resource.data })),
    ]),
  ),
  DeviceEvent: eventOf(deviceTypes, transition),
  ChangesSummarizedEvent: eventOf([CHANGES_SUMMARIZED], summary),
  SnapshotPublishedEvent: eventOf([SNAPSHOT_PUBLISHED], snapshot),
  SubscriptionEvent: eventOf(subscriptionTypes, subscription),
  GapEvent: eventOf(['defender-relay.gap'], gap),
  TestEvent: eventOf([TEST_TYPE], z.strictObject({ subscription: z.string() })),
}
