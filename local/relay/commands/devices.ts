import { path } from '../client.ts'
import type { Command } from '../command-line.ts'
import {
  type Columns,
  factsOf,
  isRecord,
  pick,
  pickList,
  pickText,
  showList,
  stateText,
} from '../format.ts'

const changeColumns = {
  at: 'at',
  kind: 'kind',
  from: (row: unknown) => stateText(pick(row, 'from')),
  to: (row: unknown) => stateText(pick(row, 'to')),
}

/** The newest scan of any kind, and how it ended. */
const lastScan = (row: unknown) =>
  ['quick', 'full', 'custom']
    .map((kind) =>
      ['Time', 'Result'].map((one) => pickText(row, `avHealth.${kind}Scan${one}`)).join(' '),
    )
    .reduce((newest, one) => (one > newest ? one : newest))
    .trim()

const heldColumns: Columns = {
  machine: 'machineId',
  name: 'computerDnsName',
  isolation: 'standing.isolation.state',
  since: 'standing.isolation.since',
  code: 'standing.codeExecution.state',
  open: (row) => pickList(row, 'standing.pending').map((one) => pick(one, 'type')),
  requestor: (row) => pickList(row, 'standing.pending').map((one) => pick(one, 'requestor')),
}

const fleetColumns: Columns = {
  machine: 'machineId',
  name: 'computerDnsName',
  mode: 'avHealth.avModeName',
  seen: 'avHealth.lastSeenTime',
  signatures: 'avHealth.avSignaturePublishTime',
  'last scan': lastScan,
  os: 'avHealth.osPlatform',
  group: 'avHealth.rbacGroupName',
}

const countColumns: Columns = { dimension: 'dimension', value: 'value', devices: 'devices' }
/** How many values of a dimension are shown. */
const MOST = 8

/** The values of each dimension that most devices have. */
const countRows = (body: unknown) =>
  Object.entries(Object(pick(body, 'counts'))).flatMap(([dimension, found]) => {
    const all = Object.entries(Object(found))
    const rows = all.slice(0, MOST).map(([value, devices]) => ({ dimension, value, devices }))
    const more = all.length - MOST
    return more > 0 ? [...rows, { dimension, value: `${more} more: with --json` }] : rows
  })

/** The devices of the fleet, and its numbers. */
export const deviceCommands: readonly Command[] = [
  {
    usage: 'devices list',
    summary: 'Devices by condition, name and group, or by what holds on them now',
    options: [
      ...(['condition', 'mode', 'group', 'os', 'name', 'seen-before'] as const),
      ...(['isolation', 'pending', 'sort'] as const),
    ],
    list: 'devices',
    csv: true,
    ask: ({ options: { condition, mode, group, os, name, isolation, sort, ...more } }) => ({
      path: 'devices',
      query: {
        ...{ condition, mode, group, os, name, isolation, sort },
        seenBefore: more['seen-before'],
        pendingAction: more.pending,
      },
    }),
    show(body) {
      const rows = pickList(body, 'devices')
      const isHeld = rows.some((row) => pick(row, 'standing'))
      return [{ rows, columns: isHeld ? heldColumns : fleetColumns }]
    },
  },
  {
    usage: 'devices show <machineId>',
    summary: 'One device: antivirus health, standing and last changes',
    ask: ({ args: { machineId = '' } }) => ({ path: path`devices/${machineId}` }),
    show: (body) => [
      { facts: factsOf(body) },
      {
        title: 'open actions',
        rows: pickList(body, 'standing.pending'),
        columns: { action: 'actionId', type: 'type', since: 'since', requestor: 'requestor' },
      },
      {
        title: 'last changes',
        rows: pickList(body, 'avHealth.lastChanges'),
        columns: changeColumns,
      },
    ],
  },
  {
    usage: 'devices history <machineId>',
    summary: 'What changed on a device, newest first',
    list: 'history',
    notKnown: 'No snapshot held this device.',
    csv: true,
    ask: ({ args: { machineId = '' } }) => ({ path: path`devices/${machineId}/history` }),
    show: showList('history', changeColumns),
  },
  {
    usage: 'changes',
    summary: 'What changed between antivirus-health snapshots, newest snapshot first',
    options: ['since', 'until', 'kind'],
    list: 'changes',
    notKnown: 'No snapshot of this time was compared: what changed is not known.',
    csv: true,
    ask: ({ options: { since, until, kind } }) => ({
      path: 'av-health/changes',
      query: { since, until, kind },
    }),
    show: showList('changes', {
      ...changeColumns,
      name: 'computerDnsName',
      machine: 'machineId',
    }),
  },
  {
    usage: 'summary',
    summary: 'The numbers of the current snapshot, or of that of a time',
    options: ['at'],
    ask: ({ options: { at } }) => ({ path: 'av-health/summary', query: { at } }),
    show: (body) => [
      { facts: factsOf(body, ['counts']) },
      { title: 'devices by value', rows: countRows(body), columns: countColumns },
    ],
  },
  {
    usage: 'trend',
    summary: 'The numbers of each of the last days',
    options: ['days', 'by'],
    ask: ({ options: { days, by } }) => ({ path: 'av-health/trend', query: { days, by } }),
    show(body) {
      const rows = pickList(body, 'days')
      const names = rows.flatMap((row) => Object.keys(Object(pick(row, 'counts'))))
      const counts = [...new Set(names)].slice(0, 8).map((name) => [
        name,
        (row: unknown) => {
          const found = pick(row, 'counts')
          return isRecord(found) ? found[name] : null
        },
      ])
      return [{ rows, columns: { day: 'day', devices: 'devices', ...Object.fromEntries(counts) } }]
    },
  },
]
