import { useEffect, useRef, useState } from 'preact/hooks'
import type { Failure } from './api.ts'
import { type Content, html, part, type View } from './html.ts'
import type { Loaded } from './load.ts'
import { exact, relative, secondsSince, span } from './words.ts'

/** How a state is to be taken; the word beside the colour always says it too. */
export type Tone = 'good' | 'bad' | 'warn' | 'info' | 'quiet'

export const badge = (tone: Tone, text: string) =>
  html`<span class=${`badge ${tone}`}>${text}</span>`

/** A time in words, with the exact one beside it. */
export const when = (time: string | null | undefined, none = '–') =>
  time
    ? html`<time datetime=${time}>${relative(time)} <small>${exact(time)}</small></time>`
    : html`<span class="none">${none}</span>`

/** A time in words, where the exact one would be too much. */
export const ago = (time: string) =>
  html`<time datetime=${time} title=${exact(time)}>${relative(time)}</time>`

/** How long something lasts, with the exact time of its beginning. */
export const since = (time: string) =>
  html`<time datetime=${time}>for ${span(secondsSince(time))} <small>since ${exact(time)}</small></time>`

/** The name of a device or of a person, which breaks at its dots and before its `@`. */
export const hostName = (name: string): Content =>
  name.split(/(?=[.@])/).map((part, index) => (index === 0 ? part : html`<wbr />${part}`))

/** Names and their values; undefined leaves an entry out. */
export const facts = (entries: [name: string, value: Content | undefined][]) =>
  html`<dl class="facts">
    ${entries.map(
      ([name, value]) =>
        value !== undefined &&
        html`<div>
          <dt>${name}</dt>
          <dd>${value === null || value === '' ? html`<span class="none">–</span>` : value}</dd>
        </div>`,
    )}
  </dl>`

export interface Column<T> {
  head: string
  cell(row: T): Content
  /** `number` is aligned right; `free` is text of any length; `wide` is left out on a narrow screen. */
  kind?: 'number' | 'free' | 'wide' | 'wide number' | 'wide free'
}

/** A table whose first column names the row. */
export const table = <T>(caption: string, columns: Column<T>[], rows: T[]) =>
  html`<div class="table" role="region" aria-label=${caption} tabindex="0">
    <table>
      <caption class="hidden">
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map(({ head, kind = '' }) => html`<th scope="col" class=${kind}>${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${columns.map(({ cell, kind = '' }, index) =>
                index === 0
                  ? html`<th scope="row" class=${kind}>${cell(row)}</th>`
                  : html`<td class=${kind}>${cell(row)}</td>`,
              )}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`

export const section = (title: string, content: Content, aside?: Content) =>
  html`<section class="block">
    <header><h2>${title}</h2>${aside && html`<div class="aside">${aside}</div>`}</header>
    ${content}
  </section>`

/** What is said where there is nothing to show: why, and what would change it. */
export const empty = (text: string, more?: Content) =>
  html`<div class="empty"><p>${text}</p>${more && html`<p class="muted">${more}</p>`}</div>`

export const failurePanel = ({ kind, title, detail, fix }: Failure, retry?: () => void) =>
  html`<div class=${`notice ${kind === 'no-snapshot-yet' ? 'info' : 'bad'}`} role="alert">
    <h2>${title}</h2>
    <p>${detail}</p>
    ${fix && html`<p><strong>What to do:</strong> ${fix}</p>`}
    ${kind === 'no-snapshot-yet' && html`<p>The <a href="#/">Overview</a> says when the next export starts by itself.</p>`}
    ${retry && html`<p><button type="button" onClick=${retry}>Try again</button></p>`}
  </div>`

/** A bar for a share of a whole, with its words. */
export const progress = (label: string, value: number, max: number) =>
  html`<div class="progress">
    <progress aria-label=${label} value=${Math.min(value, max)} max=${Math.max(max, 1)}></progress>
    <span>${label}</span>
  </div>`

export interface PageOptions<T> {
  title: string
  /** One sentence below the title. */
  intro?: Content
  answer: Loaded<T>
  /** Where the page belongs to: a link above the title. */
  up?: { href: string; text: string }
  /** What decides what is asked for: it is there in every state. */
  controls?: Content
  show(data: T): Content
}

/** A view of one answer: its title, how old it is, and its states: loading, failed, stale, or shown. */
export function Page<T>(options: PageOptions<T>): View {
  const { title, intro, answer, up, controls, show } = options
  const { data, at, failure, isLoading, refresh, curl } = answer
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · defender-relay`
  }, [title])
  // Only when the view is new: a title that comes later must not take the focus.
  useEffect(() => heading.current?.focus({ preventScroll: true }), [])
  const age = data === undefined ? '' : `As of ${agoText(at)}`
  return html`<article aria-busy=${isLoading} data-address=${location.hash}>
    <header class="page">
      <div>
        ${up && html`<a class="up" href=${up.href}>← ${up.text}</a>`}
        <h1 ref=${heading} tabindex="-1">${title}</h1>
        ${intro && html`<p class="intro">${intro}</p>`}
      </div>
      ${
        curl &&
        html`<div class="age">
          ${age && html`<span>${age}</span>`}
          <button type="button" onClick=${refresh} disabled=${isLoading}>
            ${isLoading ? 'Loading …' : 'Refresh'}
          </button>
        </div>`
      }
    </header>
    ${controls && html`<div class="controls">${controls}</div>`}
    ${data !== undefined && failure && staleNotice(at, failure)}
    ${
      data !== undefined
        ? show(data)
        : failure
          ? failurePanel(failure, refresh)
          : html`<div class="loading" role="status">Loading …</div>`
    }
    ${curl && part(CurlLine, { line: curl })}
  </article>`
}

const agoText = (at: number) => {
  const seconds = (Date.now() - at) / 1000
  return seconds < 5 ? 'now' : `${span(seconds)} ago`
}

const staleNotice = (at: number, { title, detail, fix }: Failure) =>
  html`<div class="notice warn" role="alert">
    <h2>What you see is ${agoText(at).replace(' ago', '')} old</h2>
    <p>It could not be refreshed: ${title}. ${detail} ${fix}</p>
  </div>`

/** The call behind a view, to be copied into a terminal. */
export function CurlLine({ line }: { line: string }): View {
  const [text, setText] = useState('Copy')
  const copy = async () => {
    // There is no clipboard where the page came by http from another machine.
    const isCopied = await navigator.clipboard?.writeText(line).then(
      () => true,
      () => false,
    )
    setText(isCopied ? 'Copied' : 'Copy it by hand')
    // The words are read by then, and the button says again what it does.
    setTimeout(() => setText('Copy'), 2000)
  }
  return html`<details class="curl">
    <summary>The same from a terminal</summary>
    <div>
      <code tabindex="0">${line}</code>
      <button type="button" onClick=${copy}>${text}</button>
    </div>
    <p class="muted">Put your function key into the variable <code>KEY</code> first.</p>
  </details>`
}
