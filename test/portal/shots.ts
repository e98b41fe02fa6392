import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { newAccountKey, startAzurite } from '../../local/azurite.ts'
import { ensurePortal } from '../../local/tools/portal.ts'
import { startTestStack, type TestStack } from '../stack.ts'
import { findBrowser } from './browser.ts'
import { findViews } from './views.ts'
import { startFilledApp } from './world.ts'

/** Writes a picture of every view, wide and narrow, light and dark, to `out/shots`: `npm run portal:shots [-- text]`. */
const folder = fileURLToPath(new URL('../../out/shots', import.meta.url))
const widths = [390, 1280, 1920]
const schemes = ['light', 'dark'] as const
const [wanted = ''] = process.argv.slice(2)
/** Of a long list the first rows are enough. */
const maxHeight = (width: number) => (width < 600 ? 3600 : 1800)

const { browser, missing } = await findBrowser()
if (!browser) {
  console.error(missing)
  process.exit(1)
}
const names = ['empty', 'empty2', 'filled', 'filled2']
const azurite = await startAzurite({
  accounts: Object.fromEntries(names.map((name) => [name, newAccountKey()])),
})
/** The accounts of an app for its data and its secrets. */
const accountsOf = (name: string) =>
  [name, `${name}2`].map((one) => azurite.connectionString(one)) as [string, string]
/** The views that the states without data are looked at in. */
const roots = ['overview', 'fleet', 'devices', 'actions', 'changes', 'exports', 'deliveries']

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
await ensurePortal()
try {
  const empty = await startTestStack({ accounts: accountsOf('empty') })
  await shootAll(empty, roots, 'empty ')
  await empty.stop()

  const filled = await startFilledApp({
    snapshots: Array(5).fill(5000),
    schedules: { AV_HEALTH_SCHEDULE: '0 0 6 * * *' },
    accounts: accountsOf('filled'),
  })
  await shootAll(filled, await findViews(async (path) => (await filled.get(path)).body))
  filled.simulator.setFaults({ machineActionsStatus: { answer: 403, calls: 1000 } })
  await filled.post('changes/machine-actions/check')
  await shootAll(filled, roots.slice(0, 1), 'forbidden ')
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  filled.configure({
    RELAY_STORAGE: filled.storage.replaceAll(/(http:\/\/127\.0\.0\.1):\d+/g, `$1:${port}`),
  })
  await shootAll(filled, roots.slice(0, 1), 'silent ')
  console.log(`Pictures in ${folder}`)
} finally {
  // Nothing of the stacks is needed any more: what still waits for silent storage ends with this process.
  await browser.close()
  await azurite.stop()
}
process.exit()

async function shootAll({ host: { url }, keys }: TestStack, views: string[], state = '') {
  for (const colorScheme of schemes)
    for (const width of widths) {
      const viewport = { width, height: width < 600 ? 844 : 900 }
      const context = await (browser as Browser).newContext({
        locale: 'en-US',
        colorScheme,
        viewport,
      })
      // A loaded machine is slow.
      context.setDefaultTimeout(0)
      const page = await context.newPage()
      const shoot = async (view: string) => {
        const name = (state + view).replaceAll(/[^\w-]+/g, '_').slice(0, 50)
        await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)))
        const height = await page.evaluate<number>('document.documentElement.scrollHeight')
        await page.screenshot({
          path: join(folder, `${name}-${width}-${colorScheme}.png`),
          clip: { x: 0, y: 0, width, height: Math.min(height, maxHeight(width)) },
          fullPage: true,
        })
      }
      await page.goto(`${url}/api/portal`)
      await shoot('key')
      await page.goto(`${url}/api/portal#key=${encodeURIComponent(keys.function)}`)
      // Another address too early, and the page never reads the key.
      await page.getByRole('button', { name: 'Forget key' }).waitFor()
      for (const view of views.filter((one) => one.includes(wanted))) {
        await page.goto(`${url}/api/portal#/${view}`)
        await page.locator('article[aria-busy=false]').waitFor()
        // Lists and charts within a view come last.
        await page.getByText('Loading …').waitFor({ state: 'detached' })
        if (view.startsWith('fleet') && state === '') await page.locator('canvas').waitFor()
        await shoot(view)
      }
      await context.close()
    }
}
