import { useState } from 'preact/hooks'
import { type Ask, addressOf, type Failure, fetchText, type Route } from './api.ts'
import { failurePanel } from './elements.ts'
import { html, type View } from './html.ts'
import { plural } from './words.ts'

interface DownloadOptions {
  route: Route
  ask: Ask
  file: string
}

/** Collects all pages of a list as one CSV file; a failure in the middle gives an error and no file. */
export function Download({ route, ask, file }: DownloadOptions): View {
  const [state, setState] = useState<{ pages?: number; failure?: Failure; text?: string }>({})
  const collect = async () => {
    const parts: string[] = []
    let lines = 0
    const query = { ...ask.query, format: 'csv', limit: '10000' }
    let path: string | undefined = addressOf(route, { ...ask, query }).path
    while (path) {
      setState({ pages: parts.length + 1 })
      const { text, next, failure } = await fetchText(path)
      if (text === undefined) return setState({ failure })
      // Each page has a header; the file has one.
      parts.push(parts.length === 0 ? text : text.slice(text.indexOf('\n') + 1))
      // A line break between quotes belongs to a value.
      lines +=
        text
          .replaceAll(/"[^"]*"/g, '')
          .trimEnd()
          .split('\n').length - 1
      path = next
    }
    save(file, parts)
    setState({ text: `${file}: ${plural(lines, 'line')}.` })
  }
  const { pages, failure, text } = state
  return html`<div class="download">
    <button type="button" onClick=${collect} disabled=${pages !== undefined}>
      ${pages === undefined ? 'Save all as CSV' : `Page ${pages} …`}
    </button>
    <span role="status" class="muted">${text}</span>
    ${failure && failurePanel(failure)}
  </div>`
}

function save(name: string, parts: string[]): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob(parts, { type: 'text/csv' }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
