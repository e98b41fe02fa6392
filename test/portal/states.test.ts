import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ensurePortal } from '../../local/tools/portal.ts'
import { bounds } from '../../shared/platform/body.ts'
import { changeLimits, patient } from '../limits.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { browserForTests } from './browser.ts'
import { openPage, violations, visit } from './page.ts'

// Without one `npm test` leaves this out, and says so at its end.
const { browser } = await browserForTests()
afterAll(() => browser?.close())

// The views of an app that has nothing, is refused, or can't read its storage.
describe.runIf(browser)('every view has words for', () => {
  const views = [
    ...['overview', 'fleet', 'devices', 'devices?isolation=isolated', 'changes', 'budgets'],
    ...['actions', 'actions/investigations', 'exports', 'deliveries', 'scans'],
  ]
  let stack: TestStack
  beforeAll(async () => {
    await ensurePortal()
    stack = await startTestStack({ env: noTimers })
  })
  afterAll(() => stack.stop())

  /** The texts of views: those of a page one after the other, the pages at the same time. */
  async function texts(pages: string[][]): Promise<string> {
    const looked = await Promise.all(
      pages.map(async (some) => {
        const { page, context, complaints } = await openPage(
          browser as Browser,
          stack.host.url,
          stack.keys.function,
          /40[49]|50\d/,
        )
        const found: string[] = []
        const seen: string[] = []
        for (const view of some) {
          seen.push(await visit(page, view))
          found.push(...(await violations(page)).map((one) => `${view}: ${one}`))
        }
        await context.close()
        return { seen, problems: [...complaints, ...found] }
      }),
    )
    expect(looked.flatMap(({ problems }) => problems)).toEqual([])
    return looked.flatMap(({ seen }) => seen).join('\n')
  }

  test('an app with nothing in it', async () => {
    changeLimits(patient)
    const text = await texts([views.slice(0, 5), views.slice(5)])

    for (const words of [
      'not everything has run yet',
      'Isolated now\nnot known',
      'not known before the first poll',
      'There is no snapshot yet',
      'Defender has not been asked yet',
      'There was no run yet',
      'Nobody subscribes',
      'Give the id of a scan',
    ])
      expect(text).toContain(words)
  })

  test('a Defender that refuses the app', async () => {
    changeLimits(patient)
    stack.simulator.setFaults({
      ...stack.simulator.faults,
      machineActionsStatus: { answer: 403, calls: 1000 },
    })
    await stack.post('changes/machine-actions/check')

    const text = await texts([views])

    expect(text).toMatch(/forbidden/)
    expect(text).toContain('What to do')
  })

  test('storage that does not answer', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    onTestFinished(() => void silent.close())
    changeLimits((ms) => (ms === bounds.storage.timeoutMs ? 300 : ms))
    stack.configure({
      RELAY_STORAGE: stack.storage.replaceAll(/(http:\/\/127\.0\.0\.1):\d+/g, `$1:${port}`),
    })

    const text = await texts(views.map((view) => [view]))

    expect(text).toContain('The data account does not answer')
    expect(text).toContain('Try again')
    expect(text).not.toMatch(/Nothing is open|not set up|are not watched|No snapshot of/)
  })
})
