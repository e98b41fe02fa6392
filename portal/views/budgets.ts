import { type Column, empty, facts, Page, section, table, when } from '../elements.ts'
import { type Content, html, part, type View } from '../html.ts'
import type { ViewProps } from '../load.ts'
import { isStorageDown, type Overview, type Status } from '../problems.ts'
import { count, spell } from '../words.ts'
import { upstreamBadge } from './overview.ts'

type Upstream = NonNullable<Status['upstreams']['defender']>
type Budget = Upstream['budgets'][string]

/** How many calls each family of routes may still make. */
export function Budgets({ overview }: ViewProps): View {
  return part(Page<Overview>, {
    title: 'Calls left',
    intro:
      'Defender and Tenable limit how often they may be called. All instances of the app share these calls.',
    answer: overview,
    show: ({ status }) =>
      Object.entries(status.upstreams).map(([name, upstream]) =>
        section(
          spell(name),
          upstream ? shown(spell(name), upstream) : empty(missing(spell(name), status)),
        ),
      ),
  })
}

const missing = (name: string, status: Status) =>
  isStorageDown(status)
    ? `How many calls to ${name} are left is not known: the data account does not answer.`
    : `${name} is not set up, so no call is made.`

function shown(name: string, { state, lastOkAt, lastError, budgets }: Upstream): Content {
  return html`
    ${facts([
      ['State', upstreamBadge(state)],
      ['Last good answer', when(lastOkAt, 'none yet')],
      ['Last error', lastError ? html`${lastError.title}, ${when(lastError.at)}` : 'none'],
      ['Failing since', lastError?.since ? when(lastError.since) : undefined],
      ['Missing', lastError?.missing.join(' or ') || undefined],
    ])}
    ${
      Object.keys(budgets).length === 0
        ? empty('No limit is known yet.')
        : table(`Calls left to ${name}`, columns, Object.entries(budgets))
    }
  `
}

const left = (value: number | null) => (value === null ? 'not known' : count(value))

const columns: Column<[name: string, budget: Budget]>[] = [
  {
    head: 'Routes',
    cell: ([name, { stoppedUntil }]) =>
      html`<code>${name}</code>
        ${stoppedUntil && html`<div class="narrow">stopped until ${when(stoppedUntil)}</div>`}`,
  },
  { head: 'This minute', kind: 'number', cell: ([, budget]) => left(budget.minuteLeft) },
  { head: 'This hour', kind: 'number', cell: ([, budget]) => left(budget.hourLeft) },
  { head: 'Stopped until', kind: 'wide', cell: ([, { stoppedUntil }]) => when(stoppedUntil) },
]
