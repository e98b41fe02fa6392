import { type Answers, type ChangesReport, type CloudEvent, type Item, kinds } from '../answers.ts'
import { Download } from '../download.ts'
import {
  ago,
  badge,
  type Column,
  empty,
  facts,
  hostName,
  Page,
  section,
  type Tone,
  table,
  when,
} from '../elements.ts'
import { filters, tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { useAnswer, type ViewProps } from '../load.ts'
import { usePages } from '../pages.ts'
import { linkTo } from '../session.ts'
import { secondsSince, span, spell } from '../words.ts'

type Kind = keyof typeof kinds

const titleOf = (kind: Kind) => spell(kinds[kind].title)

/** Machine actions and investigations: those that are open, all that are stored, or the story of one. */
export function Actions({ place, overview }: ViewProps): View {
  const [, kind = 'machine-actions', id] = place.path
  const known: Kind = kind in kinds ? (kind as Kind) : 'machine-actions'
  return id === undefined
    ? part(Items, {
        key: known,
        kind: known,
        query: place.query,
        polled: overview.data?.open?.[known],
      })
    : part(Story, { kind: known, id })
}

interface ItemsProps {
  kind: Kind
  query: URLSearchParams
  /** Undefined while it is not known. */
  polled: ChangesReport | undefined
}

function Items({ kind, query, polled }: ItemsProps): View {
  const isOpen = query.get('show') !== 'all'
  const set = Object.fromEntries(query)
  const pages = usePages(query.toString())
  const isAction = kind === 'machine-actions'
  const { openStates } = kinds[kind]
  const states = {
    label: 'State',
    none: 'Any that is open',
    options: Object.fromEntries(openStates.map((state) => [state, spell(state)])),
  }
  const fields = {
    ...(isAction
      ? { type: 'Type, for instance Isolate', requestor: 'Requested by' }
      : { triggeringAlertId: 'Alert id' }),
    machineId: 'Device id',
    ...(isOpen && { openFor: 'Open for (7d, 12h)', state: states }),
  }
  const filter = Object.fromEntries(Object.keys(fields).map((name) => [name, set[name]]))
  const ask = {
    params: { resource: kind },
    query: {
      ...filter,
      // Types are shown as words, and may be typed so.
      type: filter.type?.replaceAll(' ', ''),
      state: filter.state || (isOpen ? openStates.join() : undefined),
    },
  }
  const answer = useAnswer('GET /changes/{resource}/items', {
    ...ask,
    query: { ...ask.query, ...pages.query },
  })
  return part(Page<Answers['GET /changes/{resource}/items']>, {
    title: titleOf(kind),
    intro: html`
      ${isOpen ? 'What Defender has not ended yet' : 'What is open, and what has ended in the last days'}${
        polled?.lastGoodPollAt && html`, as of the poll ${ago(polled.lastGoodPollAt)}`
      }.
      ${polled?.lastPoll?.error && badge('bad', 'the last poll failed')}
    `,
    answer,
    controls: html`
      ${tabs('Kind', [
        ...Object.entries(kinds).map(([name, { title }]) => ({
          text: spell(title),
          href: linkTo(['actions', name], { show: set.show }),
          isCurrent: name === kind,
        })),
      ])}
      ${tabs('Which', [
        {
          text: 'Open now',
          href: linkTo(['actions', kind], { ...set, show: 'open' }),
          isCurrent: isOpen,
        },
        {
          text: 'All stored',
          href: linkTo(['actions', kind], { ...set, show: 'all' }),
          isCurrent: !isOpen,
        },
        ...(isAction
          ? [
              {
                text: 'Isolated devices',
                href: linkTo(['devices'], { isolation: 'isolated,selective' }),
                isCurrent: false,
              },
            ]
          : []),
      ])}
      ${filters(fields, set, (wanted) => linkTo(['actions', kind], { show: set.show, ...wanted }))}
    `,
    show: ({ items, next }) => html`
      ${
        items.length === 0
          ? polled?.baselineDone === false
            ? empty(
                'Defender has not been asked yet.',
                'What is open is not known before the first poll.',
              )
            : empty(
                isOpen ? 'Nothing is open.' : 'Nothing is stored that fits.',
                'Filters and the kind above decide what is listed.',
              )
          : html`${table(titleOf(kind), isAction ? [...actionColumns, ...columns] : [...investigationColumns, ...columns], items)}
            ${pages.bar(items.length, 'item', next)}
            ${part(Download, { route: 'GET /changes/{resource}/items', ask, file: `${kind}.csv` })}`
      }
    `,
  })
}

const storyLink = (item: Item, text: string) =>
  html`<a href=${linkTo(['actions', item.resource, item.id])}>${text}</a>
    <small class="narrow">${hostName(deviceOf(item))}</small>`

const deviceOf = ({ computerDnsName, machineId }: Item): string =>
  computerDnsName ?? machineId ?? 'an unknown device'

const deviceLink = (item: Item): Content =>
  item.machineId
    ? html`<a href=${linkTo(['devices', item.machineId])}>${hostName(deviceOf(item))}</a>`
    : deviceOf(item)

const actionColumns: Column<Item>[] = [
  { head: 'Action', cell: (item) => storyLink(item, item.type ? spell(item.type) : item.id) },
  { head: 'Requested by', kind: 'wide free', cell: ({ requestor }) => hostName(requestor ?? '–') },
]

const investigationColumns: Column<Item>[] = [
  { head: 'Investigation', cell: (item) => storyLink(item, item.id) },
  { head: 'Alert', kind: 'wide', cell: ({ triggeringAlertId }) => triggeringAlertId ?? '–' },
]

const columns: Column<Item>[] = [
  { head: 'Device', kind: 'wide free', cell: deviceLink },
  { head: 'State', cell: (item) => stateBadge(item) },
  {
    head: 'Open for',
    kind: 'number',
    cell: ({ openSince }) => (openSince ? span(secondsSince(openSince)) : '–'),
  },
  {
    head: 'Changed',
    kind: 'wide',
    cell: (item) => when(item.updatedAt ?? item.endedAt ?? item.createdAt ?? item.startedAt),
  },
]

const failed = ['Failed', 'TimeOut', 'InnerFailure']

function stateBadge({ state, terminal, reason }: Pick<Item, 'state' | 'terminal' | 'reason'>) {
  if (reason) return badge('quiet', `gone (${reason})`)
  const tone: Tone = failed.includes(state) ? 'bad' : terminal ? 'quiet' : 'info'
  return badge(tone, spell(state))
}

function Story({ kind, id }: { kind: Kind; id: string }): View {
  const answer = useAnswer('GET /changes/{resource}/items/{id}', {
    params: { resource: kind, id },
  })
  const isAction = kind === 'machine-actions'
  return part(Page<Answers['GET /changes/{resource}/items/{id}']>, {
    title: isAction ? 'Machine action' : 'Investigation',
    up: { href: linkTo(['actions', kind]), text: titleOf(kind) },
    answer,
    show: ({ item, events }) => html`
      <p class="headline">
        ${item.type ? spell(item.type) : item.id}
        <span class="muted"> on </span>${deviceLink(item)}
      </p>
      ${facts([
        ['State', stateBadge(item)],
        ['Open for', item.openSince ? span(secondsSince(item.openSince)) : undefined],
        ['Requested by', isAction ? item.requestor && hostName(item.requestor) : undefined],
        ['Comment', isAction ? (item.requestorComment ?? null) : undefined],
        ['Alert', isAction ? undefined : (item.triggeringAlertId ?? null)],
        ['Details', isAction ? undefined : (item.statusDetails ?? null)],
        ['Started', when(item.createdAt ?? item.startedAt)],
        ['Device id', item.machineId],
        ['Item id', item.id],
        ['Last looked at', when(item.lastCheckedAt)],
      ])}
      ${commands(item)}
      ${section('What happened', timeline(events))}
      <details>
        <summary>As Defender answers it</summary>
        <pre tabindex="0">${JSON.stringify(item.item, null, 2)}</pre>
      </details>
    `,
  })
}

function commands({ commands: found }: Item): Content {
  if (!found?.length) return null
  return section(
    'Commands',
    table(
      'Commands of the live response',
      [
        { head: 'Command', cell: ({ index, type }) => (type ? spell(type) : `Command ${index}`) },
        {
          head: 'State',
          cell: ({ status }) => badge(status === 'Failed' ? 'bad' : 'quiet', status ?? 'unknown'),
        },
        { head: 'Error', kind: 'free', cell: ({ error }) => error ?? '–' },
      ],
      found,
    ),
  )
}

function timeline(events: CloudEvent[]): Content {
  if (events.length === 0)
    return empty(
      'No event about it is stored.',
      'It was there before the app began to watch, or its events are too old.',
    )
  return html`<ol class="timeline">
    ${events.map((event) => {
      const { from, to, terminal } = event.data as {
        from?: string | null
        to?: string | null
        terminal?: boolean
      }
      const kind = event.type.split('.').at(-1) ?? ''
      return html`<li class=${terminal ? 'end' : ''}>
        <strong>${spell(kind)}</strong>
        ${to && html` ${from ? `${spell(from)} → ` : ''}${spell(to)}`}
        <div class="muted">${when(event.time)}</div>
        <div class="muted">detected ${when(event.detectedat)}</div>
      </li>`
    })}
  </ol>`
}
