import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { typeRelay } from '../local/relay-typed.ts'
import type { TestStack } from '../stack.ts'
import { browserForTests } from './browser.ts'
import { openPage, plantedFaults, shortPages, violations, visit } from './page.ts'
import { findViews } from './views.ts'
import { hostileNames, scannedDevice, startFilledApp } from './world.ts'

// Without one `npm test` leaves this out, and says so at its end.
const { browser } = await browserForTests()
afterAll(() => browser?.close())

const DEVICES = 5000

// Each test has a page of its own: together they use all processors.
describe.runIf(browser)('the page in a browser', { concurrent: true }, () => {
  let stack: TestStack
  let views: string[]
  beforeAll(async () => {
    stack = await startFilledApp({ snapshots: [DEVICES / 10, DEVICES] })
    views = await findViews(async (path) => (await stack.get(path)).body)
  })
  afterAll(() => stack.stop())
  const open = (key = stack.keys.function, allowed?: RegExp) =>
    openPage(browser as Browser, stack.host.url, key, allowed)

  test('shows every view, light and dark, wide and narrow, without an error, a violation or a foreign request', async () => {
    // A look-up comes before what it names: two pages take a half each, in order.
    const half = Math.ceil(views.length / 2)
    const checked = await Promise.all(
      [views.slice(0, half), views.slice(half)].map((some) => checkViews(some)),
    )
    const seen = checked.flatMap((one) => one.seen)

    expect(checked.flatMap(({ found, complaints }) => [...found, ...complaints])).toEqual([])
    expect(checked.map(({ title }) => title).join()).not.toContain('broken')
    for (const name of hostileNames.slice(0, 3)) expect(seen.join()).toContain(name)
    const device = seen[views.indexOf(`devices/${scannedDevice.machineId}`)]
    expect(device).toMatch(/last events.*Run antivirus scan.*This list is never complete.*Failed/s)
  })

  /** The texts of the views one after the other, in all widths and both schemes, and what is wrong with them. */
  async function checkViews(some: string[]) {
    const { page, context, complaints } = await open()
    const found: string[] = []
    const seen: string[] = []
    for (const [index, view] of some.entries()) {
      await page.emulateMedia({ colorScheme: index % 2 ? 'dark' : 'light' })
      await page.setViewportSize({ width: [360, 1280, 2560][index % 3] ?? 1280, height: 900 })
      const text = await visit(page, view)
      seen.push(text)
      found.push(...(await violations(page)).map((one) => `${view}: ${one}`))
      const overflow = await page.evaluate<number>(
        'document.documentElement.scrollWidth - innerWidth',
      )
      if (overflow > 0) found.push(`${view}: ${overflow} px too wide`)
      const asks = view !== 'scans'
      // What all views share is asked for again each minute.
      const age = /As of (?:now|\d.* ago)\s+(?:Refresh|Loading …)/
      if (asks !== age.test(text)) found.push(`${view}: its age`)
      if (asks !== (await curlLines(page)).length > 0) found.push(`${view}: its curl line`)
    }
    const title = await page.title()
    await context.close()
    return { found, seen, complaints, title }
  }

  const curlLines = (page: Page) => page.locator('.curl code[tabindex]').allTextContents()

  test.for(plantedFaults)('would notice %s', async ([_fault, plant, noticed], { expect }) => {
    const { page, context, complaints } = await openPage(
      browser as Browser,
      stack.host.url,
      stack.keys.function,
      /^$/,
      async (one) => void (await plant(one)),
    )
    await page.locator('#app *').first().waitFor()
    await page.evaluate("location.hash = '#/actions/machine-actions/action-1-0'")
    await page.getByText('action', { exact: false }).first().waitFor()
    await expect
      .poll(async () => [...complaints, ...(await violations(page))].join('\n'))
      .toMatch(noticed)
    await context.close()
  })

  test('its first view takes at most 8 requests and 150 KB; the key is in its tab alone', async () => {
    const { page, context, requests } = await open()
    await visit(page, 'overview')
    const [address, length, stored] = await page.evaluate<[string, number, string]>(
      `[location.href, history.length,
        JSON.stringify([sessionStorage, localStorage, document.cookie].map((one) => ({ ...one })))]`,
    )
    const [curl = ''] = await curlLines(page)
    await context.close()

    expect(requests.length).toBeLessThanOrEqual(8)
    expect(requests.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(150_000)
    expect(requests.filter(({ url }) => url.includes(stack.keys.function))).toEqual([])
    expect(address).toBe(`${stack.host.url}/api/portal#/overview`)
    expect(length).toBeLessThanOrEqual(3)
    expect(JSON.parse(stored)).toEqual([{ 'defender-relay-key': stack.keys.function }, {}, {}])
    expect(curl).toBe(`curl -H "x-functions-key: $KEY" '${stack.host.url}/api/overview'`)
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
    await visit(page, `deliveries/${await idOf('Tickets')}`)
    await page.getByText('Skip to the content').press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    const button = page.getByRole('button', { name: 'Send a test event' }).first()
    for (let presses = 0; presses < 10 && !(await hasFocus(button)); presses++)
      await page.keyboard.press('Tab')
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

  const hasFocus = (one: ReturnType<Page['locator']>) =>
    one.evaluate((element) => element === element.ownerDocument.activeElement)

  /** The subscription whose description begins so. */
  async function idOf(description: string): Promise<string> {
    const { body } = await stack.get('subscriptions')
    type Found = { id: string; description: string | null }
    return body.subscriptions.find((one: Found) => one.description?.startsWith(description)).id
  }

  test('page, overview, devices, trend and relay say the same numbers', async () => {
    const relay = async (line: string) => {
      const options = ['--json', '--url', stack.host.url, '--key', stack.keys.function]
      const { out } = await typeRelay([...line.split(' '), ...options])
      return out
        .trimEnd()
        .split('\n')
        .map((answer) => JSON.parse(answer))
    }
    const { body } = await stack.get('overview')
    const { page, context } = await open()
    const overview = await visit(page, 'overview')
    const fleet = await visit(page, 'fleet')
    const { snapshot, counts, devices, changes } = body.fleet
    const [[kind, number]] = Object.entries<number>(changes.counts).toSorted(
      ([, one], [, other]) => one - other,
    ) as [[string, number]]
    await page.locator(`a[href*="kind=${kind}"]`).click()
    const list = page.locator(`article[data-address*="kind=${kind}"][aria-busy=false]`)
    const changed = await list.innerText()
    const [curl = ''] = await curlLines(page)
    await context.close()
    const wanted: [tile: string, by: string, value: string, condition: string][] = [
      ['Antivirus disabled', 'mode', 'disabled', 'disabled'],
      ['Signatures stale', 'signature', 'stale', 'signature-stale'],
      ['Quick scan fails', 'quickScan', 'failing', 'quick-scan-failing'],
      ['Not seen lately', 'seen', 'not-seen', 'not-seen'],
    ]
    for (const [tile, by, value, condition] of wanted) {
      const number = counts[by][value]
      const pages = await relay(`devices list --all --condition ${condition}`)
      const [trend] = await relay(`trend --by ${by}`)
      const { body: last } = await stack.get(`av-health/trend?by=${by}`)
      const shown = number.toLocaleString('en-US')

      expect(number).toBeGreaterThan(0)
      expect(pages.flatMap((one) => one.devices)).toHaveLength(number)
      // The clock of the world is ahead of the snapshot: near midnight on the next day.
      const day = trend.days.find((one: { runId: string }) => one.runId === snapshot.runId)
      expect(day).toMatchObject({ devices, counts: { [value]: number } })
      expect(last).toEqual(trend)
      expect(overview).toContain(`${tile}\n${shown}`)
    }
    const held = await relay('devices list --all --isolation isolated')
    const [summary] = await relay('summary')

    expect(devices).toBe(DEVICES)
    expect(summary).toEqual(body.fleet)
    expect(held.flatMap((one) => one.devices)).toHaveLength(body.standing.counts.isolated)
    expect(overview).toContain(`Isolated now\n${body.standing.counts.isolated}`)
    expect(overview).toContain(`Devices\n${DEVICES.toLocaleString('en-US')}`)
    expect(overview).toContain(`Open machine actions\n${body.open['machine-actions'].openItems}`)
    expect(fleet).toContain('5,000 devices')
    for (const text of [overview, fleet]) expect(text).toContain('older than 7 days')
    // Of the newest snapshot alone, as the link says.
    expect(changed).toContain(`\n${number} change`)
    expect(curl).toMatch(/kind=.*since=.*until=/)
  })

  test('a run shows its accounting as the API answers it', async () => {
    const { page, context } = await open()
    const [run = ''] = views.filter((view) => view.startsWith('exports/'))
    const text = await visit(page, run)
    await context.close()

    const { counts } = (await stack.get(`av-health/${run}`)).body
    const [parsed, written] = [counts.parsed, counts.written].map((one) =>
      one.toLocaleString('en-US'),
    )
    expect(text.replaceAll('\n', ' ')).toContain(
      `${parsed} lines read = ${written} stored + ${counts.duplicates} duplicates + ${counts.rejected} rejected`,
    )
  })

  test('saves all pages of a list as one CSV file', async () => {
    const { page, context, requests } = await open()
    await visit(page, 'devices')
    await shortPages(page)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save all as CSV' }).click(),
    ])
    const text = await readFile(await download.path(), 'utf8')
    await page.getByText(`devices.csv: ${DEVICES.toLocaleString('en-US')} lines`).waitFor()
    await context.close()

    const ids = [...text.matchAll(/^"([0-9a-f]{38,45}|zz-[^"]+)",/gm)].map(([, id]) => id)
    expect(requests.filter(({ url }) => url.includes('format=csv')).length).toBeGreaterThan(2)
    expect(text.match(/"machineId"/g)).toHaveLength(1)
    expect(new Set(ids).size).toBe(DEVICES)
    expect(ids).toHaveLength(DEVICES)
  })

  test('a list whose snapshot is gone before its last page ends with an error and no file', async () => {
    const { page, context } = await open(undefined, /410/)
    await visit(page, 'devices')
    let downloads = 0
    page.on('download', () => downloads++)
    await shortPages(page, (url) => {
      const after = new URL(url).searchParams.get('after') ?? ''
      const cursor = Buffer.from(after, 'base64url').toString()
      // Of a run that is not stored any more.
      const gone = cursor.replace(/\d{14}(?=\w{4}")/, '20200101000000')
      expect(gone).not.toBe(cursor)
      return url.replace(after, Buffer.from(gone).toString('base64url'))
    })
    const button = page.getByRole('button', { name: 'Save all as CSV' })
    await button.click()
    await page.getByText('What this list reads is no longer stored').waitFor()
    const text = await page.locator('.download').innerText()
    const isEnabled = await button.isEnabled()
    const found = await violations(page)
    await context.close()

    expect(downloads).toBe(0)
    expect(text).toMatch(/What to do: Begin the list again/)
    expect(isEnabled).toBe(true)
    expect(found).toEqual([])
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

  test('asks once a minute, not while it is hidden, and at once when it is seen again', async ({
    expect,
  }) => {
    const { url } = stack.host
    const { page, context } = await openPage(
      browser as Browser,
      url,
      stack.keys.function,
      /^$/,
      (one) => one.clock.install(),
    )
    await visit(page, 'overview')
    // From here on its time stands still but for what the test lets pass.
    await page.clock.pauseAt(Date.now() + 3_600_000)
    let calls = 0
    page.on('request', () => calls++)
    const during = async (minutes: string) => {
      const before = calls
      await page.clock.runFor(minutes)
      return calls - before
    }
    const become = (state: string) =>
      page.evaluate(
        `Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))`,
      )
    const visible = await during('05:00')
    await become('hidden')
    const hidden = await during('05:00')
    const before = calls
    await become('visible')
    await expect.poll(() => calls - before).toBe(1)
    await context.close()

    expect({ visible, hidden }).toEqual({ visible: 5, hidden: 0 })
  })
})
