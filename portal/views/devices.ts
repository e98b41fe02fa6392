import type { Answers } from '../answers.ts'
import {
  conditionOf,
  conditions,
  dimensions,
  modes,
  partsOf,
  ruleOf,
  wordOf,
} from '../conditions.ts'
import { Download } from '../download.ts'
import {
  ago,
  badge,
  type Column,
  empty,
  hostName,
  Page,
  type Tone,
  table,
  when,
} from '../elements.ts'
import { filters } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { secondsSince, span, spell, systemName } from '../words.ts'
import { Device } from './device.ts'

type DeviceList = Answers['GET /devices']
type Row = DeviceList['devices'][number]

/** Devices by what holds on them, or one device. */
export function Devices({ place }: ViewProps): View {
  const id = place.path[1]
  return id === undefined
    ? part(List, { query: place.query })
    : part(Device, { key: id, id, tab: place.query.get('show') ?? '' })
}

const fields = {
  name: 'Name, or its start with *',
  condition: { label: 'Condition', options: conditions },
  mode: { label: 'Mode', options: modes },
  isolation: {
    label: 'Isolation',
    options: {
      'isolated,selective': 'Isolated in any way',
      isolated: 'Isolated',
      selective: 'Selective',
      released: 'Released',
    },
  },
}
const moreFields = {
  group: 'Group',
  os: 'System',
  seenBefore: 'Not seen for (7d, 12h)',
  pendingAction: 'Open action (a type, or any)',
  sort: {
    label: 'Order',
    none: 'Usual',
    options: { id: 'By id', worst: 'Worst first', name: 'By name' },
  },
}

function List({ query }: { query: URLSearchParams }): View {
  const set = Object.fromEntries(query)
  const pages = usePages(query.toString())
  // Types and systems are shown as words, and may be typed so.
  const os = set.os?.replace(/^windows .*/i, (name) => name.replaceAll(' ', ''))
  const ask = { query: { ...set, os, pendingAction: set.pendingAction?.replaceAll(' ', '') } }
  const answer = useAnswer('GET /devices', { query: { ...ask.query, ...pages.query } })
  const kept = set.counted ? { counted: set.counted } : undefined
  const isHeld = Boolean(set.isolation || set.pendingAction)
  return part(Page<DeviceList>, {
    title: 'Devices',
    intro: 'As in the current snapshot. A list by isolation or open action says what holds now.',
    answer,
    controls: html`
      ${filters(fields, set, (wanted) => linkTo(['devices'], wanted), { more: moreFields, kept })}
      ${kept && counted(kept.counted)}
    `,
    show: ({ devices, snapshot, asOf, next }) => html`
      ${snapshot && rulesOf(set.condition ?? conditionOf(...partsOf(set.counted ?? '')), snapshot)}
      <p class="muted asof">
        ${snapshot && html`Snapshot from ${when(snapshot.generatedTime)}`}
        ${snapshot && asOf && ' · '} ${asOf && html`Machine actions as of ${when(asOf)}`}
      </p>
      ${
        devices.length === 0
          ? next === null
            ? isHeld && asOf === null
              ? empty(
                  'Defender has not been asked yet.',
                  'What holds is not known before the first poll.',
                )
              : empty(
                  'No device fits.',
                  'Without a filter, every device of the snapshot is listed.',
                )
            : empty(
                'None on this page yet.',
                'Much was read and nothing fits so far: go on with Next.',
              )
          : table(
              'Devices',
              isHeld ? [...nameColumn, ...heldColumns] : [...nameColumn, ...columns],
              devices,
            )
      }
      ${pages.bar(devices.length, 'device', next)}
      ${part(Download, { route: 'GET /devices', ask, file: 'devices.csv' })}
    `,
  })
}

/** When the conditions of a list hold. */
function rulesOf(
  condition: string | undefined,
  snapshot: NonNullable<DeviceList['snapshot']>,
): Content {
  return (condition ?? '').split(',').map((name) => {
    const rule = ruleOf(name, snapshot)
    return rule && html`<p class="muted">${conditions[name]}: ${rule}</p>`
  })
}

/** The list behind a bar of the fleet. */
function counted(text: string): Content {
  const [by, value] = partsOf(text)
  return html`<p class="badges">
    ${badge('info', `${dimensions[by]?.title ?? by}: ${wordOf(by, value)}`)}
    <a href=${linkTo(['devices'])}>All devices</a>
  </p>`
}

const nameColumn: Column<Row>[] = [
  {
    head: 'Device',
    cell: ({ machineId, computerDnsName, avHealth }) =>
      html`<a href=${linkTo(['devices', machineId])}>${hostName(computerDnsName ?? machineId)}</a>
        <small class="narrow">${systemName(avHealth?.osPlatform ?? '')}</small>`,
  },
]

const modeTones: Record<string, Tone> = { active: 'good', passive: 'info', disabled: 'bad' }
export const modeBadge = (mode: string | null): Content =>
  badge(modeTones[mode ?? ''] ?? 'quiet', mode ? (modes[mode] ?? spell(mode)) : 'Unknown')

/** Whether the signatures are stale in the snapshot, or else what the device reports, and how old they are. */
const signatures = ({ avHealth }: Row): Content => {
  const { avIsSignatureUpToDate: flag, conditions: found } = avHealth ?? {}
  const installed = avHealth?.avSignaturePublishTime ?? avHealth?.avSignatureUpdateTime
  const age = installed && html` <small>${span(secondsSince(installed))} old</small>`
  const known = flag === 'true' ? !age && 'up to date' : 'not known'
  const isStale = found ? found.includes('signature-stale') : flag === 'false'
  const state = isStale ? badge('warn', 'stale') : known
  return html`<span class="nowrap">${state}${age}</span>`
}

const columns: Column<Row>[] = [
  { head: 'System', kind: 'wide', cell: ({ avHealth }) => systemName(avHealth?.osPlatform ?? '–') },
  {
    head: 'Mode',
    cell: (row) =>
      html`${modeBadge(row.avHealth?.avModeName ?? null)}
        <div class="narrow">signatures: ${signatures(row)}</div>`,
  },
  { head: 'Signatures', kind: 'wide', cell: signatures },
  {
    head: 'Quick scan',
    kind: 'wide',
    cell: ({ avHealth }) =>
      html`${avHealth?.quickScanResult ?? '–'}
        ${avHealth?.quickScanTime && html`<div class="muted">${ago(avHealth.quickScanTime)}</div>`}`,
  },
  { head: 'Last seen', kind: 'wide', cell: ({ avHealth }) => when(avHealth?.lastSeenTime) },
]

export const heldTones: Record<string, Tone> = {
  isolated: 'bad',
  selective: 'warn',
  restricted: 'warn',
}
export const holds = ({ state, since }: { state: string; since: string | null }): Content =>
  html`${badge(heldTones[state] ?? 'quiet', spell(state))} ${since && when(since)}`

const heldColumns: Column<Row>[] = [
  { head: 'Isolation', cell: ({ standing }) => (standing ? holds(standing.isolation) : '–') },
  {
    head: 'Code execution',
    kind: 'wide',
    cell: ({ standing }) => (standing ? holds(standing.codeExecution) : '–'),
  },
  {
    head: 'Open actions',
    cell: ({ standing }) =>
      standing?.pending.map(({ type }) => spell(type ?? 'unknown')).join(', ') || 'none',
  },
]
