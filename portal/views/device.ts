import type { Answers } from '../answers.ts'
import { changeWord, conditions, ruleOf } from '../conditions.ts'
import {
  badge,
  type Column,
  empty,
  facts,
  hostName,
  Page,
  section,
  since,
  table,
  when,
} from '../elements.ts'
import { tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { ONCE, useAnswer } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { spell, systemName } from '../words.ts'
import { valuesText } from './changes.ts'
import { tones } from './definitions.ts'
import { heldTones, holds, modeBadge } from './devices.ts'

type DeviceAnswer = Answers['GET /devices/{machineId}']

/** One device: what is wrong with it, what holds on it, and what happened to it. */
export function Device({ id, tab }: { id: string; tab: string }): View {
  const answer = useAnswer('GET /devices/{machineId}', { params: { machineId: id } })
  return part(Page<DeviceAnswer>, {
    title: answer.data?.computerDnsName ?? id,
    intro: html`<code>${id}</code>`,
    up: { href: linkTo(['devices']), text: 'Devices' },
    answer,
    show: (device) => html`
      ${wrong(device)}
      ${section(
        'Machine actions',
        html`${standing(device)} ${lastEvents(device)}`,
        html`<a href=${linkTo(['actions', 'machine-actions'], { show: 'all', machineId: id })}>All of them</a>`,
      )}
      ${section('Antivirus health', health(device))}
      ${section('Scans that name it', knownScans(device))}
      ${section(
        'History',
        html`${tabs('Order', [
          { text: 'Last changes', href: linkTo(['devices', id]), isCurrent: tab !== 'history' },
          {
            text: 'All',
            href: linkTo(['devices', id], { show: 'history' }),
            isCurrent: tab === 'history',
          },
        ])}
          ${tab === 'history' ? part(History, { id, version: answer.at }) : timeline(device.avHealth.lastChanges)}`,
      )}
    `,
  })
}

function wrong({ avHealth, standing: { isolation, codeExecution } }: DeviceAnswer): Content {
  const { conditions: found, goneSince, snapshot } = avHealth
  if (goneSince)
    return html`<div class="notice warn"><p><strong>It is in no snapshot</strong> ${since(goneSince)}</p></div>`
  if (!snapshot) return html`<div class="notice quiet"><p>There is no snapshot yet.</p></div>`
  if (!found)
    return html`<div class="notice quiet"><p>The current snapshot does not hold this device.</p></div>`
  const held = [isolation, codeExecution].flatMap(({ state }) => {
    const tone = heldTones[state]
    return tone ? [badge(tone, spell(state))] : []
  })
  const bad = found.map((name) => badge('warn', conditions[name] ?? spell(name)))
  const rules = found.flatMap((name) => {
    const rule = ruleOf(name, snapshot)
    return rule ? [`${conditions[name]}: ${rule}`] : []
  })
  const none = badge('good', 'Antivirus: no condition holds')
  return html`<p class="badges">${held} ${bad.length > 0 ? bad : none}</p>
    ${rules.length > 0 && html`<p class="muted">${rules.join(' · ')}</p>`}`
}

/** Unknown is not free: nothing that is stored says it. */
const said = (one: Parameters<typeof holds>[0]) =>
  html`${holds(one)}${one.state === 'unknown' && html` <small>no stored action says it</small>`}`

function standing({ standing: one }: DeviceAnswer): Content {
  return html`<div class="panel">
    ${facts([
      ['Isolation', said(one.isolation)],
      ['Code execution', said(one.codeExecution)],
      [
        'Last antivirus scan',
        one.lastScan ? html`${one.lastScan.scope} ${when(one.lastScan.since)}` : null,
      ],
      ['Last collected package', one.lastPackage ? when(one.lastPackage.since) : null],
      [
        'Open actions',
        one.pending.length === 0
          ? 'none'
          : one.pending.map(
              ({ type, requestor, since, actionId }) => html`<div>
                <a href=${linkTo(['actions', 'machine-actions', actionId ?? ''])}>${spell(type ?? 'unknown')}</a>
                ${' '}by ${hostName(requestor ?? 'unknown')} ${when(since)}
              </div>`,
            ),
      ],
      ['More are open', one.pendingCut ? 'These are the first 20.' : undefined],
      ['As of', when(one.asOf)],
    ])}
  </div>`
}

const eventColumns: Column<DeviceAnswer['lastEvents'][number]>[] = [
  {
    head: 'Action',
    cell: ({ action, actionId }) =>
      html`<a href=${linkTo(['actions', 'machine-actions', actionId])}>${action ? spell(action) : actionId}</a>`,
  },
  {
    head: 'Event',
    cell: ({ type, state }) =>
      html`${spell(type.split('.').at(-1) ?? '')}${state && html`: ${spell(state)}`}`,
  },
  { head: 'At', cell: ({ time }) => when(time) },
]

const lastEvents = ({ lastEvents: events }: DeviceAnswer): Content =>
  events.length === 0
    ? html`<p class="muted">No event of a machine action is stored.</p>`
    : html`<p class="muted">The last events of machine actions, ten at most, the newest first:</p>
        ${table('Last events of machine actions', eventColumns, events)}`

type KnownScan = NonNullable<DeviceAnswer['knownScans']>['scans'][number]

const knownColumns: Column<KnownScan>[] = [
  {
    head: 'Scan',
    cell: ({ source, id, run, name }) => {
      const place = source === 'defender' ? 'session' : 'tenable'
      return html`<a href=${linkTo(['scans', place], { id, run: place === 'tenable' ? (run?.id ?? undefined) : undefined })}>${name ?? id}</a>
        <small class="path">${spell(source)}</small>`
    },
  },
  {
    head: 'Of this device',
    cell: ({ hostState }) => (hostState ? badge(tones[hostState], spell(hostState)) : 'not known'),
  },
  {
    head: 'Ended',
    cell: ({ startedAt, endedAt }) =>
      !endedAt && startedAt ? html`not known, started ${when(startedAt)}` : when(endedAt),
  },
  { head: 'Looked up', kind: 'wide', cell: ({ lookedUpAt }) => when(lookedUpAt) },
]

/** It is never complete: that is said beside what is found, and beside nothing. */
function knownScans({ knownScans: known }: DeviceAnswer): Content {
  if (!known) return empty('Its name is not known, and scans are found by it.')
  const note =
    'This list is never complete: it has only scans that were looked up here in the last 90 days. Other scans may name this device.'
  return known.scans.length === 0
    ? empty('No scan that was looked up names it.', note)
    : html`<p class="muted">${note}</p>
        ${table('Scans that name it', knownColumns, known.scans)}`
}

type Values = Record<string, unknown>

const textOf = (values: Values, name: string) => {
  const value = values[name]
  return value === null || value === undefined || value === '' ? null : String(value)
}

function health({ avHealth }: DeviceAnswer): Content {
  const { snapshot, firstSeenAt, conditions: found } = avHealth
  const device = avHealth.device as Values | null
  if (!device) return empty('The current snapshot has no row of this device.')
  const text = (name: string) => textOf(device, name)
  const time = (name: string) => when(text(name))
  return html`<div class="panel">
      ${facts([
        ['Mode', modeBadge(text('avModeName'))],
        [
          'System',
          [systemName(text('osPlatform') ?? ''), text('osVersion')].filter(Boolean).join(' '),
        ],
        ['Device group', text('rbacGroupName')],
        ['Last seen', time('lastSeenTime')],
        ['Cloud protection', text('cloudProtectionState')],
        ['Platform expires', time('avPlatformExpirationTime')],
        ['Snapshot', when(snapshot?.generatedTime)],
        ['In snapshots since', firstSeenAt ? when(firstSeenAt) : undefined],
      ])}
    </div>
    ${table('What is installed', partColumns(device, found ?? []), ['Signature', 'Engine', 'Platform'])}
    ${table('Last scans', scanColumns(device), ['quick', 'full', 'custom'])}`
}

function partColumns(device: Values, found: string[]): Column<string>[] {
  const time = (name: string) => when(textOf(device, name))
  const state = (part: string) => {
    // Old signatures are stale even where the device reports otherwise.
    if (found.includes(`${part.toLowerCase()}-stale`)) return badge('warn', 'stale')
    const flag = textOf(device, `avIs${part}UpToDate`)
    return flag === 'true' ? 'up to date' : flag === 'false' ? badge('warn', 'stale') : 'not known'
  }
  return [
    { head: 'Part', cell: (part) => (part === 'Signature' ? 'Signatures' : part) },
    { head: 'State', cell: state },
    { head: 'Version', kind: 'wide', cell: (part) => textOf(device, `av${part}Version`) ?? '–' },
    { head: 'Published', cell: (part) => time(`av${part}PublishTime`) },
    { head: 'Updated', kind: 'wide', cell: (part) => time(`av${part}UpdateTime`) },
    { head: 'Ring', kind: 'wide', cell: (part) => textOf(device, `av${part}Ring`) ?? '–' },
  ]
}

const scanColumns = (device: Values): Column<string>[] => [
  { head: 'Scan', cell: (kind) => `${spell(kind)} scan` },
  { head: 'Result', cell: (kind) => textOf(device, `${kind}ScanResult`) ?? 'not known' },
  { head: 'At', cell: (kind) => when(textOf(device, `${kind}ScanTime`)) },
  { head: 'Error', kind: 'wide free', cell: (kind) => textOf(device, `${kind}ScanError`) ?? '–' },
]

type Change = DeviceAnswer['avHealth']['lastChanges'][number]

function timeline(changes: Change[]): Content {
  if (changes.length === 0)
    return empty('Nothing has changed between the snapshots that are stored.')
  return html`<ol class="timeline">
    ${changes.map(
      ({ at, kind, from, to }) => html`<li>
        <strong>${changeWord(kind)}</strong> ${valuesText(from, to)}
        <div class="muted">${when(at)}</div>
      </li>`,
    )}
  </ol>`
}

/** It is read again together with the page around it. */
function History({ id, version }: { id: string; version: number }): View {
  const pages = usePages(id)
  const ask = { params: { machineId: id }, query: pages.query }
  const { data, failure } = useAnswer('GET /devices/{machineId}/history', ask, ONCE, version)
  if (!data)
    return html`<p role="status">${failure ? `${failure.title}. ${failure.detail}` : 'Loading …'}</p>`
  return html`${
    data.history.length === 0
      ? empty('Nothing is stored on this page.')
      : table(
          'History',
          [
            { head: 'Snapshot', cell: ({ at }) => when(at) },
            {
              head: 'What',
              cell: ({ kind, from, to }) =>
                html`${spell(kind)}<div class="narrow muted">${valuesText(from, to)}</div>`,
            },
            { head: 'From → to', kind: 'wide free', cell: ({ from, to }) => valuesText(from, to) },
          ],
          data.history,
        )
  }
    ${pages.bar(data.history.length, 'change', data.next)}`
}
