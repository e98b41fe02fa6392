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

/** The label of a text field, or a choice with its words by value. */
type Field = string | { label: string; options: Record<string, string>; none?: string }

/** A form that goes to an address with what is filled in. `fields` are the query parameters. */
export function filters(
  fields: Record<string, Field | undefined>,
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
  const isSet = Object.keys(fields).some((name) => set[name])
  return html`<form class="filters" onSubmit=${submit}>
    ${Object.entries(fields).map(
      ([name, field]) => field && html`<label>${inputOf(name, field, set[name] ?? '')}</label>`,
    )}
    <button type="submit">${action}</button>
    ${isSet && html`<a href=${linkFor({})}>Clear</a>`}
  </form>`
}

/** Another value in the address makes a new input: else it would show what was typed. */
function inputOf(name: string, field: Field, value: string): Content {
  if (typeof field === 'string')
    return html`${field} <input key=${value} name=${name} defaultValue=${value} />`
  return html`${field.label}
    <select key=${value} name=${name}>
      <option value="">${field.none ?? 'Any'}</option>
      ${Object.entries(field.options).map(
        ([one, words]) => html`<option value=${one} selected=${one === value}>${words}</option>`,
      )}
    </select>`
}
