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

type Fields = Record<string, Field | undefined>

interface FilterOptions {
  action?: string
  /** Fields that are folded away while none of them is filled in. */
  more?: Fields
  /** Goes along with what is filled in. */
  kept?: Record<string, string>
}

/** A form that goes to an address with what is filled in. `fields` are the query parameters. */
export function filters(
  fields: Fields,
  set: Record<string, string | undefined>,
  linkFor: (wanted: Record<string, string>) => string,
  { action = 'Filter', more = {}, kept = {} }: FilterOptions = {},
): Content {
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const filled = [...form].map(([name, value]) => [name, String(value).trim()])
    location.hash = linkFor({ ...kept, ...Object.fromEntries(filled) })
  }
  const isSet = (some: Fields) => Object.keys(some).some((name) => set[name])
  const inputs = (some: Fields) =>
    Object.entries(some).map(
      ([name, field]) => field && html`<label>${inputOf(name, field, set[name] ?? '')}</label>`,
    )
  return html`<form class="filters" onSubmit=${submit}>
    ${inputs(fields)}
    <button type="submit">${action}</button>
    ${isSet({ ...fields, ...more }) && html`<a href=${linkFor({})}>Clear</a>`}
    ${
      Object.keys(more).length > 0 &&
      html`<details open=${isSet(more)}>
        <summary>More filters and order</summary>
        <div class="filters">${inputs(more)}</div>
      </details>`
    }
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
