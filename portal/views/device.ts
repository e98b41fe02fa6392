import type { Answers } from '../answers.ts'
import { conditions } from '../conditions.ts'
import { badge, empty, facts, Page, section, table, when } from '../elements.ts'
import { tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { ONCE, useAnswer } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { spell } from '../words.ts'
import { valuesText } from './changes.ts'
import { holds, modeBadge } from './devices.ts'

type DeviceAnswer = Answers['GET /devices/{machineId}']

/** One device: what is wrong with it, what holds on it, and what happened to it. */
export function Device({ id, tab }: { id: string; tab: string }): View {
  const answer = useAnswer('GET /devices/{machineId}', { params: { machineId: id } })
  return part(Page<DeviceAnswer>, {
    title: answer.data?.computerDnsName ?? id,
    up: { href: linkTo(['devices']), text: 'Devices' },
    answer,
    show: (device) => html`
      ${wrong(device)} ${section('Machine actions', standing(device))}
      ${section('Antivirus health', health(device))}
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

function wrong({ avHealth: { conditions: found, goneSince, snapshot } }: DeviceAnswer): Content {
  if (goneSince)
    return html`<div class="notice warn"><p><strong>It is in no snapshot since ${when(goneSince)}.</strong></p></div>`
  if (!snapshot) return html`<div class="notice quiet"><p>There is no snapshot yet.</p></div>`
  if (!found)
    return html`<div class="notice quiet"><p>The current snapshot does not hold this device.</p></div>`
  return found.length === 0
    ? html`<p>${badge('good', 'No condition holds')}</p>`
    : html`<p class="badges">${found.map((name) => badge('warn', conditions[name] ?? spell(name)))}</p>`
}

function standing({ standing: one }: DeviceAnswer): Content {
  return html`<div class="panel">
    ${facts([
      ['Isolation', holds(one.isolation)],
      ['Code execution', holds(one.codeExecution)],
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
                ${' '}by ${requestor ?? 'unknown'} ${when(since)}
              </div>`,
            ),
      ],
      ['More are open', one.pendingCut ? 'These are the first 20.' : undefined],
      ['As of', when(one.asOf)],
    ])}
  </div>`
}

function health({ machineId, avHealth: { snapshot, device, firstSeenAt } }: DeviceAnswer): Content {
  if (!device) return empty('The current snapshot has no row of this device.')
  const {
    avModeName,
    computerDnsName: _name,
    machineId: _id,
    ...rest
  } = device as Record<string, unknown>
  const isTime = (name: string, value: unknown) =>
    /Time(?:stamp)?$/.test(name) && typeof value === 'string'
  return html`<div class="panel">
    ${facts([
      ['Mode', modeBadge(typeof avModeName === 'string' ? avModeName : null)],
      ...Object.entries(rest)
        .filter(([, value]) => value !== null && typeof value !== 'object')
        .map(([name, value]): [string, Content] => [
          spell(name),
          isTime(name, value) ? when(String(value)) : String(value),
        ]),
      ['Snapshot', when(snapshot?.generatedTime)],
      ['First seen', when(firstSeenAt)],
      ['Machine id', machineId],
    ])}
  </div>`
}

type Change = DeviceAnswer['avHealth']['lastChanges'][number]

function timeline(changes: Change[]): Content {
  if (changes.length === 0)
    return empty('Nothing has changed between the snapshots that are stored.')
  return html`<ol class="timeline">
    ${changes.map(
      ({ at, kind, from, to }) => html`<li>
        <strong>${spell(kind)}</strong> ${valuesText(from, to)}
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
            { head: 'What', cell: ({ kind }) => spell(kind) },
            { head: 'From → to', kind: 'wide', cell: ({ from, to }) => valuesText(from, to) },
          ],
          data.history,
        )
  }
    ${pages.bar(data.history.length, 'change', data.next)}`
}
