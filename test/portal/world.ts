import type { Browser, BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'
import { ensurePortal } from '../../local/tools/portal.ts'
import { noTimers, startTestStack } from '../stack.ts'

/** Names that break pages which take them for markup. */
export const hostileNames = [
  '<img src=x onerror="document.title=\'broken\'">',
  '"><script>document.title="broken"</script>',
  '{{alert(1)}} &lt;b&gt; %3Cb%3E',
  `long-${'x'.repeat(400)}`,
  'ראשי\u202Eevil‮ 日本語 🦊',
]

/** The app with something of everything: devices, actions, investigations, subscriptions, scans. */
export async function startFilledApp() {
  await ensurePortal()
  const stack = await startTestStack({ env: noTimers, fleet: { size: 400, files: 4, badLines: 3 } })
  const { body } = await stack.post('av-health/exports')
  await stack.runToEnd(body.runId)
  for (const [index, name] of hostileNames.entries()) {
    stack.simulator.actions.put({
      id: `action-${index}`,
      status: index % 2 ? 'Pending' : 'Succeeded',
      computerDnsName: name,
      requestor: name,
      requestorComment: name,
    })
    stack.simulator.investigations.put({ id: String(900 + index), computerDnsName: name })
  }
  for (const resource of ['machine-actions', 'investigations'])
    await stack.post(`changes/${resource}/check`)
  const { url } = stack.simulator.receiver('page')
  await stack.post('subscriptions', { callbackUrl: url, description: hostileNames[0] })
  stack.simulator.actions.put({ id: 'action-1', status: 'Failed' })
  await stack.post('changes/machine-actions/check')
  return stack
}

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
