import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newAccountKey, startAzurite } from '../../local/azurite.ts'
import { findBrowser } from './browser.ts'
import { findViews } from './views.ts'
import { startFilledApp } from './world.ts'

/** Writes a picture of every view, wide and narrow, light and dark, to `out/shots`: `npm run portal:shots [-- text]`. */
const folder = fileURLToPath(new URL('../../out/shots', import.meta.url))
const widths = [390, 1280, 1920]
const schemes = ['light', 'dark'] as const
const [wanted = ''] = process.argv.slice(2)
/** Of a long list the first rows are enough. */
const MAX_HEIGHT = 1800

const { browser, missing } = await findBrowser()
if (!browser) {
  console.error(missing)
  process.exit(1)
}
const names = ['data', 'secrets']
const azurite = await startAzurite({
  accounts: Object.fromEntries(names.map((name) => [name, newAccountKey()])),
})
const accounts = names.map((name) => azurite.connectionString(name)) as [string, string]
const stack = await startFilledApp({
  devices: 5000,
  snapshots: 5,
  schedules: { AV_HEALTH_SCHEDULE: '0 0 6 * * *' },
  accounts,
})
try {
  const { url } = stack.host
  const views = (await findViews(async (path) => (await stack.get(path)).body)).filter((view) =>
    view.includes(wanted),
  )
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const colorScheme of schemes)
    for (const width of widths) {
      const viewport = { width, height: width < 600 ? 844 : 900 }
      const context = await browser.newContext({ locale: 'en-US', colorScheme, viewport })
      const page = await context.newPage()
      const shoot = async (view: string) => {
        const name = view.replaceAll(/[^\w-]+/g, '_').slice(0, 50)
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)))
        const height = await page.evaluate<number>('document.documentElement.scrollHeight')
        await page.screenshot({
          path: join(folder, `${name}-${width}-${colorScheme}.png`),
          clip: { x: 0, y: 0, width, height: Math.min(height, MAX_HEIGHT) },
          fullPage: true,
        })
      }
      await page.goto(`${url}/api/portal`)
      await shoot('key')
      await page.goto(`${url}/api/portal#key=${encodeURIComponent(stack.keys.function)}`)
      for (const view of views) {
        await page.goto(`${url}/api/portal#/${view}`)
        await page.locator('article[aria-busy=false]').waitFor()
        await shoot(view)
      }
      await context.close()
    }
  console.log(`${views.length} views in ${folder}`)
} finally {
  await browser.close()
  await stack.stop()
  await azurite.stop()
}
