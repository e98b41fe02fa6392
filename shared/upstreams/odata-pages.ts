import { z } from 'zod'
import { ShapeError } from '../platform/errors.ts'

/** One page of a list. */
export interface ODataPage {
  rows: unknown[]
  /** The answer's own `Date`. */
  date: Date | undefined
}

export interface ODataPagesOptions {
  /** The first page, without `$top` and `$skip`. */
  url: URL
  upstream: string
  ask(url: URL): Promise<{ body: unknown; date: Date | undefined }>
  /** Whether a link may be followed as it is; any other is asked for at the host of `url`. */
  isTrusted(url: URL): boolean
  /** Rows asked for in one page. Default 10,000, the most that Defender gives. */
  top?: number
}

const Page = z.object({ value: z.array(z.unknown()), '@odata.nextLink': z.string().nullish() })

/** More would be ten million rows: a list that does not end. */
const MAX_PAGES = 1000

/**
 * Reads a list page by page: follows `@odata.nextLink`, goes on with `$skip` behind a full page that has none, and
 * throws ShapeError for an answer that is no list and for a list that goes in circles.
 * https://learn.microsoft.com/defender-endpoint/api/exposed-apis-odata-samples
 */
export async function* odataPages(options: ODataPagesOptions): AsyncGenerator<ODataPage> {
  const { url, upstream, ask, top = 10_000 } = options
  const broken = (what: string) => new ShapeError(upstream, `GET ${url.pathname}`, what)
  const seen = new Set<string>()
  let rowsSoFar = 0
  let next: URL | undefined = pageAt(url, top, 0)
  while (next) {
    const asked: URL = next
    if (seen.size > 2 * MAX_PAGES) throw broken(`a list of more than ${MAX_PAGES} pages`)
    if (!isNew(seen, asked.href)) throw broken('a list whose links go in circles')
    const { body, date } = await ask(asked)
    const page = Page.safeParse(body)
    if (!page.success) throw broken('an answer without a list in `value`')
    const { value: rows, '@odata.nextLink': link } = page.data
    // A service that ignores `$skip` sends the same rows for ever.
    if (rows.length > 0 && !isNew(seen, JSON.stringify([rows[0], rows.at(-1)])))
      throw broken('a page that came twice')
    rowsSoFar += rows.length
    yield { rows, date }
    if (link) next = follow(link, asked, options)
    else next = rows.length >= top ? pageAt(url, top, rowsSoFar) : undefined
  }
}

/** `$skip` is always a plain integer: the service does not read `1e+5`. The dollar goes out as it is. */
function pageAt(url: URL, top: number, skip: number): URL {
  const page = new URL(url)
  const options = [`$top=${top.toFixed(0)}`, ...(skip > 0 ? [`$skip=${skip.toFixed(0)}`] : [])]
  page.search = [url.search.slice(1), ...options].filter(Boolean).join('&')
  return page
}

function follow(link: string, asked: URL, { url, upstream, isTrusted }: ODataPagesOptions): URL {
  const target = URL.parse(link, asked.href)
  if (!target)
    throw new ShapeError(upstream, `GET ${url.pathname}`, 'a link to the next page that is no URL')
  return isTrusted(target) ? target : new URL(`${target.pathname}${target.search}`, url)
}

function isNew(seen: Set<string>, key: string): boolean {
  if (seen.has(key)) return false
  seen.add(key)
  return true
}
