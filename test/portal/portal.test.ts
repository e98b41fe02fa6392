import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import type { AxeResults } from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { ensurePortal } from '../../local/tools/portal.ts'
import { bounds } from '../../shared/platform/body.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { findBrowser } from './browser.ts'
import { findViews } from './views.ts'
import { change, hostileNames, openPage, startFilledApp, visit } from './world.ts'

const found = await findBrowser()
// Elsewhere `npm test` leaves this out, and says so at its end.
if (found.missing !== undefined && process.env.CI === 'true') throw new Error(found.missing)
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What breaks WCAG 2.2 AA on the page as it is now, as `rule: place`. */
async function violations(page: Page): Promise<string[]> {
  // The policy refuses a script element; the debugger's own channel is not subject to it.
  await page.evaluate(axe)
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
  const { violations: broken } = await page.evaluate<AxeResults>(
    `axe.run({ runOnly: { type: 'tag', values: ${JSON.stringify(tags)} }, resultTypes: ['violations'] })`,
  )
  return broken.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`))
}

describe.runIf(found.browser)('the page in a browser', () => {
  const browser = found.browser as Browser
  let stack: TestStack
  let views: string[]
  beforeAll(async () => {
    stack = await startFilledApp()
    views = await findViews(async (path) => (await stack.get(path)).body)
  })
  afterAll(async () => {
    await stack.stop()
    await browser.close()
  })
  const open = (key = stack.keys.function, allowed?: RegExp) =>
    openPage(browser, stack.host.url, key, allowed)

  test('shows every view, light and dark, wide and narrow, without an error, a violation or a foreign request', async () => {
    const { page, context, complaints } = await open()
    const found: string[] = []
    const seen: string[] = []
    for (const [index, view] of views.entries()) {
      await page.emulateMedia({ colorScheme: index % 2 ? 'dark' : 'light' })
      await page.setViewportSize({ width: [360, 1280, 2560][index % 3] ?? 1280, height: 900 })
      seen.push(await visit(page, view))
      found.push(...(await violations(page)).map((one) => `${view}: ${one}`))
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - innerWidth',
      )
      if (overflow > 0) found.push(`${view}: ${overflow} px too wide`)
    }
    const title = await page.title()
    await context.close()

    expect(found).toEqual([])
    expect(complaints).toEqual([])
    expect(title).not.toContain('broken')
    for (const name of hostileNames.slice(0, 3)) expect(seen.join()).toContain(name)
  })

  // Preact makes every text by this function: here a text becomes markup.
  const unescaped = `document.createTextNode = (text) => {
    const made = document.createElement('span')
    made.innerHTML = text
    return made
  }`
  test.each<[fault: string, plant: (page: Page) => Promise<unknown>, noticed: RegExp]>([
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
    [
      'a contrast error',
      change('/style-.*css', /--muted: ?#\w+/, '--muted:#aab'),
      /color-contrast/,
    ],
    [
      'a second origin',
      change(
        '',
        '</head>',
        '<link rel="stylesheet" href="https://elsewhere.example/x.css"></head>',
      ),
      /calls https:/,
    ],
    [
      'a name that is not escaped',
      (page) => page.addInitScript(unescaped),
      /policy: (?:script|img)-src/,
    ],
  ])('would notice %s', async (_fault, plant, noticed) => {
    const { page, context, complaints } = await openPage(
      browser,
      stack.host.url,
      stack.keys.function,
      /^$/,
      async (one) => void (await plant(one)),
    )
    await page.locator('#app *').first().waitFor()
    await page.evaluate("location.hash = '#/actions/machine-actions?show=all'")
    await page.getByText('action', { exact: false }).first().waitFor()
    await expect
      .poll(async () => [...complaints, ...(await violations(page))].join('\n'))
      .toMatch(noticed)
    await context.close()
  })

  test('its first view takes at most 8 requests and 150 KB, and holds no key in address or history', async () => {
    const { page, context, requests } = await open()
    await visit(page, 'overview')
    const [address, length] = await page.evaluate<[string, number]>(
      '[location.href, history.length]',
    )
    await context.close()

    expect(requests.length).toBeLessThanOrEqual(8)
    expect(requests.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(150_000)
    expect(requests.filter(({ url }) => url.includes(stack.keys.function))).toEqual([])
    expect(address).toBe(`${stack.host.url}/api/portal#/overview`)
    expect(length).toBeLessThanOrEqual(3)
  })

  test('says that a key is wrong, takes another one, and forgets it', async () => {
    const { page, context } = await open('wrong-key', /401/)
    await page.getByText('The app refuses this key').waitFor()
    expect(await violations(page)).toEqual([])
    await page.getByLabel('Function key').fill(stack.keys.function)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    await page.getByRole('button', { name: 'Forget key' }).click()
    await page.getByLabel('Function key').waitFor()
    const kept = await page.evaluate('JSON.stringify([{ ...sessionStorage }, { ...localStorage }])')
    await context.close()

    expect(kept).toBe('[{},{}]')
  })

  test('is used with the keyboard alone: skip link, question, answer', async () => {
    const { page, context, complaints } = await open()
    const [subscription = ''] = views.filter((view) => view.startsWith('deliveries/'))
    await visit(page, subscription)
    const button = page.getByRole('button', { name: 'Send a test event' }).first()
    await button.focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog')
    await dialog.waitFor()
    expect(await violations(page)).toEqual([])
    await dialog.getByRole('button', { name: 'Send a test event' }).press('Enter')
    await dialog.getByText('The receiver took it').waitFor()
    await page.keyboard.press('Escape')
    expect(await dialog.isVisible()).toBe(false)
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Send a test event')
    await context.close()

    expect(complaints).toEqual([])
  })

  test('what it shows is what the API answers', async () => {
    const { page, context } = await open()
    const overview = await visit(page, 'overview')
    const { body } = await stack.get('status')
    const [run = ''] = views.filter((view) => view.startsWith('exports/'))
    const accounting = await visit(page, run)
    await context.close()

    const { counts } = (await stack.get(`av-health/${run}`)).body
    expect(overview).toContain(`Devices\n${body.avHealth.current.devices}`)
    expect(overview).toContain(`Open machine actions\n${body.changes['machine-actions'].openItems}`)
    expect(accounting.replaceAll('\n', ' ')).toContain(
      `${counts.parsed} lines read = ${counts.written} stored + ${counts.duplicates} duplicates + ${counts.rejected} rejected`,
    )
  })

  test('a refresh that fails keeps what is known, and says how old it is', async () => {
    const { page, context } = await open(undefined, /Failed to load|ERR_/)
    await visit(page, 'exports')
    await context.setOffline(true)
    await page.getByRole('button', { name: 'Refresh' }).click()
    await page.getByText('It could not be refreshed').waitFor()
    const text = await page.locator('main').innerText()
    const found = await violations(page)
    await context.close()

    expect(text).toMatch(/What you see is .* old/)
    expect(text).toContain('published')
    expect(found).toEqual([])
  })

  test('asks nothing while it is hidden, and at once when it is seen again after a minute', async () => {
    const { page, context, requests } = await open()
    await page.clock.install()
    await visit(page, 'overview')
    const hide = (state: string) =>
      page.evaluate(
        `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))`,
      )
    const calls = () => requests.filter(({ url }) => url.endsWith('/api/status')).length
    await hide('hidden')
    const before = calls()
    await page.clock.runFor('05:00')
    const hidden = calls() - before
    await hide('visible')
    await expect.poll(() => calls() - before).toBe(1)
    await context.close()

    expect(hidden).toBe(0)
  })
})

describe.runIf(found.browser)('every view has words for', () => {
  const views = [
    'overview',
    'actions',
    'actions/investigations',
    'exports',
    'deliveries',
    'scans',
    'budgets',
  ]
  let browser: Browser
  let stack: TestStack
  beforeAll(async () => {
    await ensurePortal()
    browser = (await findBrowser()).browser as Browser
    stack = await startTestStack({ env: noTimers })
  })
  afterAll(async () => {
    await stack.stop()
    await browser.close()
  })

  /** The texts of all views, opened at the same time. */
  async function texts(): Promise<string> {
    const pages = await Promise.all(
      views.map(async (view) => {
        const { page, context, complaints } = await openPage(
          browser,
          stack.host.url,
          stack.keys.function,
          /50\d/,
        )
        const text = await visit(page, view)
        const found = await violations(page)
        await context.close()
        return { text, problems: [...complaints, ...found].map((one) => `${view}: ${one}`) }
      }),
    )
    expect(pages.flatMap(({ problems }) => problems)).toEqual([])
    return pages.map(({ text }) => text).join('\n')
  }

  test('an app with nothing in it', async () => {
    const text = await texts()

    for (const words of [
      'not known before the first poll',
      'Nothing is open',
      'There was no run yet',
      'Nobody subscribes',
      'Give the id of a scan',
    ])
      expect(text).toContain(words)
  })

  test('a Defender that refuses the app', async () => {
    stack.simulator.setFaults({
      ...stack.simulator.faults,
      machineActionsStatus: { answer: 403, calls: 1000 },
    })
    await stack.post('changes/machine-actions/check')

    const text = await texts()

    expect(text).toMatch(/forbidden/)
    expect(text).toContain('What to do')
  })

  test('storage that does not answer', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    onTestFinished(() => void silent.close())
    const real = AbortSignal.timeout.bind(AbortSignal)
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) =>
      real(ms === bounds.storage.timeoutMs ? 300 : ms),
    )
    stack.configure({
      RELAY_STORAGE: stack.storage.replaceAll(/(http:\/\/127\.0\.0\.1):\d+/g, `$1:${port}`),
    })

    const text = await texts()

    expect(text).toContain('The data account does not answer')
    expect(text).toContain('Try again')
    expect(text).not.toMatch(/Nothing is open|not set up|are not watched|No snapshot of/)
  })
})
