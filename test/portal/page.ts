import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'

/** What a page has done that it must not do. */
export interface Watched {
  page: Page
  context: BrowserContext
  complaints: string[]
  requests: { url: string; bytes: number }[]
}

/**
 * Opens the page with a key in its address, and notes every error, violation of its policy and request elsewhere. What is
 * `allowed` in the console is no complaint; `spoil` plants a fault before the page is there.
 */
export async function openPage(
  browser: Browser,
  origin: string,
  key: string,
  allowed = /^$/,
  spoil?: (page: Page) => Promise<void>,
): Promise<Watched> {
  // A locale of its own: that of the machine may be one that Intl refuses.
  const context = await browser.newContext({ locale: 'en-US' })
  // Only the test itself ends a wait: a slow machine must not.
  context.setDefaultTimeout(0)
  const page = await context.newPage()
  const complaints: string[] = []
  const requests: Watched['requests'] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !allowed.test(message.text()))
      complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) complaints.push(`calls ${request.url()}`)
  })
  page.on('requestfinished', async (request) => {
    const sizes = await request.sizes().catch(() => undefined)
    const bytes = sizes ? sizes.responseBodySize + sizes.responseHeadersSize : 0
    requests.push({ url: request.url(), bytes })
  })
  await page.addInitScript(
    `document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      console.error('policy: ' + violatedDirective + ' ' + blockedURI))`,
  )
  await spoil?.(page)
  await page.goto(`${origin}/api/portal#key=${encodeURIComponent(key)}`)
  return { page, context, complaints, requests }
}

/** Goes to a view and waits until it shows what it has, or why it has nothing. */
export async function visit(page: Page, view: string): Promise<string> {
  const hash = JSON.stringify(`#/${view}`)
  await page.evaluate(`location.hash = ${hash}`)
  await page.locator(`article[data-address=${hash}][aria-busy=false]`).waitFor()
  // What every view asks for is there too.
  await page.locator('.session a').waitFor()
  const text = await page.locator('main').innerText()
  expect(text, view).not.toMatch(/\b(?:undefined|NaN|\[object|Invalid Date)\b/)
  return text
}

/** Plants a fault: changes the text of the page or of its files of one kind. */
export const change = (end: string, from: string | RegExp, to: string) => (page: Page) =>
  page.route(new RegExp(`/api/portal${end}$`), async (route) => {
    const response = await route.fetch()
    const text = await response.text()
    const changed = text.replace(from, to)
    expect(changed).not.toBe(text)
    const { 'content-encoding': _packed, ...headers } = response.headers()
    await route.fulfill({ response, headers, body: changed })
  })

/** Shortens the pages of a CSV, so that a list has several. `spoil` may change the address of a further one. */
export const shortPages = (page: Page, spoil = (url: string) => url) =>
  page.route(/format=csv/, (route) => {
    const url = route.request().url().replace('limit=10000', 'limit=2000')
    return route.continue({ url: url.includes('after=') ? spoil(url) : url })
  })

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
const options = { runOnly: { type: 'tag', values: tags } }

/** What breaks WCAG 2.2 AA on the page as it is now, or can't be decided, as `rule: place`. */
export async function violations(page: Page): Promise<string[]> {
  // The policy refuses a script element; the debugger's own channel is not subject to it.
  if (!(await page.evaluate('Boolean(window.axe)'))) await page.evaluate(axe)
  const { violations: broken, incomplete } = await page.evaluate<AxeResults>(
    `axe.run(${JSON.stringify({ ...options, resultTypes: ['violations', 'incomplete'] })})`,
  )
  return [...broken, ...incomplete].flatMap(({ id, nodes }) =>
    nodes.map(({ target, any }) => `${id}: ${target} ${any[0]?.message ?? ''}`),
  )
}

// Preact makes every text by this function: here a text becomes markup.
const unescaped = `document.createTextNode = (text) => {
  const made = document.createElement('span')
  made.innerHTML = text
  return made
}`

/** Faults of the page, and what a run of the suite must say of each. */
export const plantedFaults: [
  fault: string,
  plant: (page: Page) => Promise<unknown>,
  noticed: RegExp,
][] = [
  [
    'a view that throws',
    change('/main-.*js', '`As of ', 'null.x+`As of '),
    /Cannot read properties of null/,
  ],
  [
    'an inline script',
    change('', '</head>', '<script>document.title = 1</script></head>'),
    /policy: script-src/,
  ],
  ['a contrast error', change('/style-.*css', /--muted: ?#\w+/, '--muted:#aab'), /color-contrast/],
  [
    'a second origin',
    change('', '</head>', '<link rel="stylesheet" href="https://elsewhere.example/x.css"></head>'),
    /calls https:/,
  ],
  [
    'a name that is not escaped',
    (page) => page.addInitScript(unescaped),
    /policy: (?:script|img)-src/,
  ],
]
