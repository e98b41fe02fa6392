import { useState } from 'preact/hooks'
import { type Content, html } from './html.ts'
import { plural } from './words.ts'

/** How many rows a list shows at once. */
export const ROWS = 100

/** Steps through a list by the cursors that its answers give; another `list` begins at its first page. */
export function usePages(list: string) {
  const [state, setState] = useState({ list, cursors: [] as string[] })
  const cursors = state.list === list ? state.cursors : []
  const go = (to: string[]) => setState({ list, cursors: to })
  return {
    query: { limit: String(ROWS), after: cursors.at(-1) },
    /** What is shown of the list, and the way to its neighbours. */
    bar(rows: number, what: string, next: string | null): Content {
      if (rows === 0 && next === null && cursors.length === 0) return null
      const first = cursors.length * ROWS
      const some =
        rows > 0 ? `${plural(first + 1, what).split(' ')[0]} to ${first + rows}` : 'none so far'
      const text = cursors.length === 0 && next === null ? plural(rows, what) : `${some}`
      return html`<nav class="pages" aria-label="Pages of the list">
        <span>${text}</span>
        ${
          (cursors.length > 0 || next !== null) &&
          html`<button
            type="button"
            disabled=${cursors.length === 0}
            onClick=${() => go(cursors.slice(0, -1))}
          >
            Previous
          </button>
          <button
            type="button"
            disabled=${next === null}
            onClick=${() => next !== null && go([...cursors, next])}
          >
            Next
          </button>`
        }
      </nav>`
    },
  }
}

/** Pages of rows that are all here already. */
export function useSlices<T>(rows: T[]): { shown: T[]; bar(what: string): Content } {
  const [page, setPage] = useState(0)
  const last = Math.max(0, Math.ceil(rows.length / ROWS) - 1)
  const at = Math.min(page, last)
  return {
    shown: rows.slice(at * ROWS, (at + 1) * ROWS),
    bar: (what) =>
      html`<nav class="pages" aria-label="Pages of the list">
        <span>${plural(rows.length, what)}${last > 0 && `, page ${at + 1} of ${last + 1}`}</span>
        ${
          last > 0 &&
          html`<button type="button" disabled=${at === 0} onClick=${() => setPage(at - 1)}>
            Previous
          </button>
          <button type="button" disabled=${at === last} onClick=${() => setPage(at + 1)}>
            Next
          </button>`
        }
      </nav>`,
  }
}
