const NAME = 'defender-relay-key'

/** The function key of this tab: it is in no address and in no storage that outlives the tab. */
export const key = {
  get: () => sessionStorage.getItem(NAME) ?? '',
  set: (value: string) => sessionStorage.setItem(NAME, value),
  forget: () => sessionStorage.removeItem(NAME),
}

/** Takes a key from `#key=…` and removes it from the address, before anything else reads that. */
export function takeKeyFromAddress(): void {
  const found = /^#key=([^&]*)/.exec(location.hash)?.[1]
  if (found === undefined) return
  history.replaceState(null, '', `${location.pathname}#/`)
  try {
    key.set(decodeURIComponent(found))
  } catch {
    // A broken escape is no key: the page asks for one.
  }
}

/** Where the reader is: what stands behind the `#`. */
export interface Place {
  /** The parts between slashes, for instance `['exports', '20261130…']`. */
  path: string[]
  query: URLSearchParams
}

export function readPlace(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  const parts = path.split('/').filter(Boolean)
  return { path: parts.map(decode), query: new URLSearchParams(query) }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The address of a view: `linkTo(['exports', id], { state: 'dead' })`. */
export function linkTo(path: string[], query: Record<string, string | undefined> = {}): string {
  const set = Object.entries(query).flatMap(([name, value]) => (value ? [[name, value]] : []))
  const search = new URLSearchParams(set).toString()
  return `#/${path.map(encodeURIComponent).join('/')}${search && `?${search}`}`
}

export const iconAddress = () => document.querySelector<HTMLLinkElement>('link[rel=icon]')?.href
