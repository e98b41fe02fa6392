import { useRef, useState } from 'preact/hooks'
import type { Answers } from './answers.ts'
import { type Ask, call, type Failure, type Route } from './api.ts'
import { failurePanel } from './elements.ts'
import { html, type View } from './html.ts'

interface QuestionOptions<R extends Route> {
  /** On the button that opens the question, and on the one that says yes. */
  label: string
  question: string
  /** What happens then, in one or two sentences. */
  consequence: string
  route: R
  ask: Ask
  /** The result in words. */
  report(body: Answers[R]): string
  /** Reads again what the call has changed. */
  done(): void
}

/** A button that changes something, with a question before it and the result after it. */
export function Question<R extends Route>(options: QuestionOptions<R>): View {
  const { label, question, consequence, route, ask, report, done } = options
  const dialog = useRef<HTMLDialogElement>(null)
  const [state, setState] = useState<{ isBusy?: boolean; text?: string; failure?: Failure }>({})
  const open = () => {
    setState({})
    dialog.current?.showModal()
  }
  const confirm = async () => {
    setState({ isBusy: true })
    const { body, failure } = await call(route, ask)
    setState(failure ? { failure } : { text: report(body) })
    if (!failure) done()
  }
  const { isBusy = false, text, failure } = state
  const close = () => dialog.current?.close()
  return html`<span>
    <button type="button" onClick=${open}>${label}</button>
    <dialog ref=${dialog} aria-label=${question}>
      <h2>${question}</h2>
      ${text === undefined && !failure && html`<p>${consequence}</p>`}
      <div role="status">${text && html`<p>${text}</p>`}</div>
      ${failure && failurePanel(failure)}
      <div class="buttons">
        ${
          text === undefined && !failure
            ? html`<button type="button" class="main" onClick=${confirm} disabled=${isBusy}>
                ${isBusy ? 'Working …' : label}
              </button>
              <button type="button" onClick=${close}>Cancel</button>`
            : html`<button type="button" class="main" onClick=${close}>Close</button>`
        }
      </div>
    </dialog>
  </span>`
}
