import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findBrowser } from './browser.ts'
import { findViews } from './views.ts'

/**
 * Writes a picture of every view, wide and narrow, light and dark, to `out/shots`: `npm run portal:shots [-- URL KEY]`.
 * Without an address it starts the app with a simulated fleet.
 */
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'out/shots')
const widths = [390, 1280, 1920]
const schemes = ['light', 'dark'] as const

const found = await findBrowser()
if (found.missing !== undefined) {
  console.error(found.missing)
  process.exit(1)
}
const { browser } = found
const [givenUrl, givenKey = ''] = process.argv.slice(2)
const served = givenUrl ? { url: givenUrl, key: givenKey, stop() {} } : await serve()
try {
  const { url, key } = served
  const views = await findViews(async (path) =>
    (await fetch(`${url}/api/${path}`, { headers: { 'x-functions-key': key } })).json(),
  )
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const colorScheme of schemes)
    for (const width of widths) {
      const viewport = { width, height: width < 600 ? 844 : 900 }
      const context = await browser.newContext({ locale: 'en-US', colorScheme, viewport })
      const page = await context.newPage()
      await page.goto(`${url}/api/portal`)
      const name = (view: string) =>
        join(folder, `${view.replaceAll(/[^\w-]+/g, '_').slice(0, 50)}-${width}-${colorScheme}.png`)
      await page.screenshot({ path: name('key') })
      await page.goto(`${url}/api/portal#key=${encodeURIComponent(key)}`)
      for (const view of views) {
        await page.goto(`${url}/api/portal#/${view}`)
        await page.locator('article[aria-busy=false], main.key').first().waitFor()
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)))
        await page.screenshot({ path: name(view), fullPage: true })
      }
      await context.close()
    }
  console.log(`${views.length} views in ${folder}`)
} finally {
  served.stop()
  await browser.close()
}

/** Starts the app with a data folder of its own; answers when it serves. */
async function serve() {
  const data = mkdtempSync(join(tmpdir(), 'relay-shots-'))
  const child = spawn(
    process.execPath,
    [join(root, 'local/start.ts'), '--port', '0', '--data', data],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let text = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      text += chunk
      if (text.includes('Ctrl-C stops')) resolve()
    })
    child.on('exit', (code) => reject(new Error(`npm start ended with ${code}: ${text}`)))
  })
  const [, url = '', key = ''] = /(http\S+)\/api\/portal#key=(\S+)/.exec(text) ?? []
  return {
    url,
    key: decodeURIComponent(key),
    stop() {
      child.kill('SIGTERM')
      child.on('exit', () => rmSync(data, { recursive: true, force: true }))
    },
  }
}
