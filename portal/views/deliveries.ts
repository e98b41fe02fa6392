import type { Answers, Delivery, Failure, SubscriptionReport } from '../answers.ts'
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
import { tabs } from '../filters.ts'
import { type Content, html, part, type View } from '../html.ts'
import { ONCE, useAnswer, type ViewProps } from '../load.ts'
import { usePages } from '../pages.ts'
import { Question } from '../question.ts'
import { linkTo } from '../session.ts'
import { count, plural, spell } from '../words.ts'

/** Subscriptions with the state of their deliveries, or one of them. */
export function Deliveries({ place }: ViewProps): View {
  const id = place.path[1]
  return id === undefined
    ? part(Subscriptions, {})
    : part(OneSubscription, { id, state: place.query.get('state') ?? '' })
}

function Subscriptions(): View {
  const pages = usePages('subscriptions')
  const answer = useAnswer('GET /subscriptions', { query: pages.query })
  return part(Page<Answers['GET /subscriptions']>, {
    title: 'Deliveries',
    intro:
      'A subscription gets the events of its filter. A post that fails is tried again; what the receiver never takes becomes a dead letter.',
    answer,
    show: ({ subscriptions, next }) =>
      subscriptions.length === 0
        ? empty(
            'Nobody subscribes to events.',
            html`<code>POST /api/subscriptions</code> makes a subscription; the feed at <code>/api/events</code> works without one.`,
          )
        : html`${table('Subscriptions', columns, subscriptions)} ${pages.bar(subscriptions.length, 'subscription', next)}`,
  })
}

const tones: Record<SubscriptionReport['state'], Tone> = {
  active: 'good',
  failing: 'bad',
  disabled: 'bad',
}

const health = ({ state, pausedUntil }: SubscriptionReport): Content =>
  html`${badge(tones[state], state)}${pausedUntil && html` ${badge('warn', 'paused')}`}`

const failureText = (failure: Failure | null, none = 'none'): Content =>
  failure ? html`${failure.status} ${failure.reason} <small>${ago(failure.at)}</small>` : none

const columns: Column<SubscriptionReport>[] = [
  {
    head: 'Receiver',
    cell: ({ id, callbackHost, description }) =>
      html`<a href=${linkTo(['deliveries', id])}>${hostName(callbackHost)}</a>
        <div class="muted">${description ?? id}</div>`,
  },
  { head: 'Health', cell: health },
  { head: 'Last failure', kind: 'wide free', cell: ({ lastFailure }) => failureText(lastFailure) },
  { head: 'Pending', kind: 'number', cell: ({ pending }) => count(pending) },
  { head: 'Dead', kind: 'number', cell: ({ dead }) => count(dead) },
  {
    head: 'Last delivered',
    kind: 'wide',
    cell: ({ lastDeliveredAt }) => when(lastDeliveredAt, 'never'),
  },
]

function OneSubscription({ id, state }: { id: string; state: string }): View {
  const answer = useAnswer('GET /subscriptions/{id}', { params: { id } })
  return part(Page<SubscriptionReport>, {
    title: answer.data?.callbackHost ?? 'Subscription',
    up: { href: linkTo(['deliveries']), text: 'Deliveries' },
    intro: answer.data?.description ?? undefined,
    answer,
    show: (one) => html`
      ${facts([
        ['Health', health(one)],
        ['Why it is disabled', one.disabledReason ?? undefined],
        ['Paused until', one.pausedUntil ? when(one.pausedUntil) : undefined],
        ['Last delivered', when(one.lastDeliveredAt, 'never')],
        ['Last failure', failureText(one.lastFailure)],
        ['Failures in a row', count(one.consecutiveFailures)],
        ['Pending', count(one.pending)],
        ['Dead letters', count(one.dead)],
        ['Events', filterText(one)],
        ['Subscribed', when(one.createdAt)],
        ['Ends', one.expiresAt ? when(one.expiresAt) : undefined],
        ['Id', one.id],
      ])}
      <div class="buttons">${buttons(one, answer.refresh)}</div>
      ${section('Its deliveries', part(DeliveryList, { id, state, version: answer.at }))}
    `,
  })
}

function filterText({ filter }: SubscriptionReport): Content {
  const parts = Object.entries(filter).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : value}`,
  )
  return parts.length === 0 ? 'all' : parts.join(' · ')
}

function buttons(
  { id, callbackHost, state, pausedUntil, dead }: SubscriptionReport,
  done: () => void,
): Content {
  const shared = { ask: { params: { id } }, done }
  const isDisabled = state === 'disabled'
  return html`
    ${part(Question<'POST /subscriptions/{id}/test'>, {
      ...shared,
      label: 'Send a test event',
      question: `Send a test event to ${callbackHost}?`,
      consequence:
        'One signed event of the type defender-relay.test is posted now. Nothing else changes.',
      route: 'POST /subscriptions/{id}/test',
      report: (result) =>
        result.delivered
          ? `The receiver took it (${result.status}).`
          : `The receiver did not take it: ${result.status ?? ''} ${result.reason}`,
    })}
    ${
      (isDisabled || pausedUntil) &&
      part(Question<'POST /subscriptions/{id}/enable'>, {
        ...shared,
        label: isDisabled ? 'Enable' : 'End the pause',
        question: isDisabled
          ? `Enable the subscription of ${callbackHost}?`
          : `End the pause of ${callbackHost} now?`,
        consequence: 'Its pending events are delivered, oldest first.',
        route: 'POST /subscriptions/{id}/enable',
        report: (result) => `The subscription is ${result.state}.`,
      })
    }
    ${
      dead > 0 &&
      part(Question<'POST /subscriptions/{id}/replay'>, {
        ...shared,
        ask: { params: { id }, body: { dead: true } },
        label: 'Replay dead letters',
        question: `Send ${plural(dead, 'dead letter')} again?`,
        consequence: `${callbackHost} gets these events again. It knows them by their ids.`,
        route: 'POST /subscriptions/{id}/replay',
        report: ({ queued }) => `${plural(queued, 'delivery', 'deliveries')} queued.`,
      })
    }
  `
}

const states = ['', 'pending', 'dead', 'delivered']

interface DeliveryListProps {
  id: string
  state: string
  /** Another one reads the list again, together with the page around it. */
  version: number
}

function DeliveryList({ id, state, version }: DeliveryListProps): View {
  const pages = usePages(`${id} ${state}`)
  const ask = { params: { id }, query: { state: state || undefined, ...pages.query } }
  const { data, failure } = useAnswer('GET /subscriptions/{id}/deliveries', ask, ONCE, version)
  return html`
    ${tabs(
      'State',
      states.map((one) => ({
        text: one === '' ? 'All' : one,
        href: linkTo(['deliveries', id], { state: one }),
        isCurrent: one === state,
      })),
    )}
    ${
      data === undefined
        ? html`<p role="status">${failure ? `${failure.title}. ${failure.detail}` : 'Loading …'}</p>`
        : data.deliveries.length === 0
          ? empty(state === '' ? 'There is no delivery.' : `No delivery is ${state}.`)
          : html`${table('Deliveries', deliveryColumns, data.deliveries)} ${pages.bar(data.deliveries.length, 'delivery', data.next)}`
    }
  `
}

const deliveryTones: Record<Delivery['state'], Tone> = {
  pending: 'info',
  delivered: 'good',
  dead: 'bad',
}

const deliveryColumns: Column<Delivery>[] = [
  { head: 'Event', cell: ({ stream, seq }) => `${spell(stream)}, event\u00a0${count(seq)}` },
  { head: 'State', cell: ({ state }) => badge(deliveryTones[state], state) },
  { head: 'Attempts', kind: 'number', cell: ({ attempt }) => count(attempt) },
  { head: 'Next attempt', kind: 'wide', cell: ({ nextAttemptAt }) => when(nextAttemptAt) },
  {
    head: 'Last answer',
    kind: 'wide free',
    cell: ({ last }) => failureText(last, '–'),
  },
]
