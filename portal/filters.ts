import { type Content, html } from './html.ts'

interface Tab {
  text: string
  href: string
  isCurrent: boolean
}

/** Links between views of the same thing. */
export const tabs = (label: string, all: Tab[]): Content =>
  html`<nav class="tabs" aria-label=${label}>
    ${all.map(
      ({ text, href, isCurrent }) =>
        html`<a href=${href} aria-current=${isCurrent ? 'true' : undefined}>${text}</a>`,
    )}
  </nav>`

/** A form of texts that goes to an address with them. `names` are the query parameters with their labels. */
export function filters(
  names: Record<string, string | undefined>,
  set: Record<string, string | undefined>,
  linkFor: (wanted: Record<string, string>) => string,
  action = 'Filter',
): Content {
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    location.hash = linkFor(
      Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()])),
    )
  }
  const isSet = Object.keys(names).some((name) => set[name])
  return html`<form class="filters" onSubmit=${submit}>
    ${Object.entries(names).map(
      ([name, label]) =>
        html`<label>
          ${label}
          <input key=${`${name} ${set[name] ?? ''}`} name=${name} defaultValue=${set[name] ?? ''} />
        </label>`,
    )}
    <button type="submit">${action}</button>
    ${isSet && html`<a href=${linkFor({})}>Clear</a>`}
  </form>`
}
