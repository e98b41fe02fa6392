import { render } from 'preact'
import { useLayoutEffect, useState } from 'preact/hooks'
import { badge, type Tone } from './elements.ts'
import { html, part, type View } from './html.ts'
import { KeyForm } from './key-form.ts'
import { EVERY_MS, useAnswer, type ViewProps } from './load.ts'
import { toneOf } from './problems.ts'
import { iconAddress, key, linkTo, type Place, readPlace, takeKeyFromAddress } from './session.ts'
import { Actions } from './views/actions.ts'
import { Budgets } from './views/budgets.ts'
import { Changes } from './views/changes.ts'
import { Deliveries } from './views/deliveries.ts'
import { Devices } from './views/devices.ts'
import { Exports } from './views/exports.ts'
import { Fleet } from './views/fleet.ts'
import { isNew, Overview } from './views/overview.ts'
import { Scans } from './views/scans.ts'
import { plural } from './words.ts'

/** What the page can show, by the first part of its address, in the order of the menu. */
const views: Record<string, { title: string; show(props: ViewProps): View }> = {
  overview: { title: 'Overview', show: Overview },
  fleet: { title: 'Fleet', show: Fleet },
  devices: { title: 'Devices', show: Devices },
  actions: { title: 'Actions', show: Actions },
  changes: { title: 'Changes', show: Changes },
  exports: { title: 'Exports', show: Exports },
  deliveries: { title: 'Deliveries', show: Deliveries },
  scans: { title: 'Scans', show: Scans },
  budgets: { title: 'Calls left', show: Budgets },
}

/** These show what every view asks for: it is asked for more often there. */
const usesOverview = ['overview', 'budgets']

function App(): View {
  const [place, setPlace] = useState(readPlace)
  const [hasKey, setHasKey] = useState(key.get() !== '')
  // Before the first paint: an address may change as soon as something is seen.
  useLayoutEffect(() => {
    const read = () => {
      takeKeyFromAddress()
      setHasKey(key.get() !== '')
      setPlace(readPlace())
      scrollTo(0, 0)
    }
    addEventListener('hashchange', read)
    return () => removeEventListener('hashchange', read)
  }, [])
  const forget = () => {
    key.forget()
    setHasKey(false)
  }
  return hasKey ? part(Shell, { place, forget }) : part(KeyForm, { onKey: () => setHasKey(true) })
}

function Shell({ place, forget }: { place: Place; forget(): void }): View {
  const [first = ''] = place.path
  const name = first in views ? first : 'overview'
  const view = views[name]
  // Other views show only how many problems there are.
  const overview = useAnswer(
    'GET /overview',
    {},
    usesOverview.includes(name) ? EVERY_MS : 5 * EVERY_MS,
  )
  if (overview.failure?.kind === 'key' && !overview.data)
    return part(KeyForm, { refused: true, onKey: overview.refresh })
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/">
        <img src=${iconAddress()} alt="" width="24" height="24" />defender-relay
      </a>
      <nav aria-label="Views">
        ${Object.entries(views).map(
          ([path, { title }]) =>
            html`<a href=${linkTo([path])} aria-current=${path === name ? 'page' : undefined}>
              ${title}
            </a>`,
        )}
      </nav>
      <div class="session">
        ${health(overview)}
        <button type="button" class="plain" onClick=${forget}>Forget key</button>
      </div>
    </header>
    <main id="main" tabindex="-1">
      ${first !== name && first !== '' && html`<div class="notice warn"><p>There is no view “${first}”. This is the overview.</p></div>`}
      ${view && part(view.show, { key: place.path.join('/'), place, overview })}
    </main>
    <footer>
      <span>${overview.data && `Version ${overview.data.status.version}`}</span>
      <span>Times are UTC. The page asks once a minute while it is visible.</span>
    </footer>`
}

/** In every view: whether something is wrong, and the way to what it is. */
function health({ data, failure }: ViewProps['overview']) {
  if (!data) return failure ? html`<a href="#/">${badge('bad', 'No status')}</a>` : ''
  const { overall, problems } = data.status
  const [tone, text]: [Tone, string] =
    overall === 'stopped'
      ? ['bad', 'Not set up']
      : problems.length > 0
        ? [toneOf(problems), plural(problems.length, 'problem')]
        : failure
          ? ['warn', 'Status is old']
          : isNew(data)
            ? ['quiet', 'New app']
            : ['good', 'No problem']
  return html`<a href="#/">${badge(tone, text)}</a>`
}

/** A link to `#main` would be taken for the address of a view. */
function skip(event: Event): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

takeKeyFromAddress()
const root = document.getElementById('app')
if (root) render(part(App, {}), root)
