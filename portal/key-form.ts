import { useEffect, useRef, useState } from 'preact/hooks'
import { html, type View } from './html.ts'
import { iconAddress, key } from './session.ts'

interface KeyFormProps {
  /** The host has refused the key that is stored. */
  refused?: boolean
  onKey(): void
}

/** Asks for the function key: the one way in. */
export function KeyForm({ refused, onKey }: KeyFormProps): View {
  const input = useRef<HTMLInputElement>(null)
  const [given, setGiven] = useState('')
  useEffect(() => {
    document.title = 'Function key · defender-relay'
    input.current?.focus()
  }, [])
  const submit = (event: Event) => {
    event.preventDefault()
    const text = given.trim()
    if (!/^[\x21-\x7e]+$/.test(text)) return
    key.set(text)
    setGiven('')
    onKey()
  }
  return html`<main class="key">
    <h1><img src=${iconAddress()} alt="" width="32" height="32" />defender-relay</h1>
    <p class="intro">This page shows what the app knows. It needs a function key of the app.</p>
    ${
      refused &&
      html`<div class="notice bad" role="alert">
      <h2>The app refuses this key</h2>
      <p>
        It is wrong, was renewed, or does not open the function <code>overview</code>, which the
        page needs.
      </p>
    </div>`
    }
    <form onSubmit=${submit}>
      <label for="key">Function key</label>
      <input
        ref=${input}
        id="key"
        type="password"
        autocomplete="off"
        spellcheck=${false}
        required
        value=${given}
        onInput=${(event: { currentTarget: HTMLInputElement }) =>
          setGiven(event.currentTarget.value)}
      />
      <button type="submit" class="main">Open</button>
    </form>
    <ul class="muted">
      <li>The key stays in this tab, and is gone when you close it. Another tab asks again.</li>
      <li>In Azure: <em>Function App › App keys</em>. On a laptop: <code>npm start</code> prints it.</li>
      <li>A key of single functions opens only what these functions answer.</li>
    </ul>
  </main>`
}
