import { setTimeout as sleep } from 'node:timers/promises'
import { defenderLimits } from '../shared/app/flows.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { type Budget, createBudget, recordThrottle } from '../shared/platform/budget.ts'
import type { Priority } from '../shared/platform/budget-window.ts'
import { UpstreamError } from '../shared/platform/errors.ts'
import { createHttp } from '../shared/platform/http.ts'
import type { Clock } from '../shared/platform/time.ts'
import { counted, skewed } from './platform/budget-load.ts'

/** One instance of the budget run: calls as often as it may until the time is over. */
const [connectionString = '', origin = '', untilMs = '0', skewMs = '0'] = process.argv.slice(2)
const realClock: Clock = { now: () => new Date(), sleep: (ms) => sleep(ms) }
const clock = skewed(realClock, () => Number(skewMs))
const { table, requests } = counted(createTables({ connectionString })('Budgets'))
const budget: Budget<string> = createBudget({
  upstream: 'defender',
  clock,
  limits: defenderLimits,
  table,
})
const http = createHttp({ upstream: 'defender', clock, userAgent: 'budget-run', attempts: 1 })

async function hammer(family: string, priority: Priority, paceMs: number): Promise<void> {
  while (Date.now() < Number(untilMs)) {
    try {
      await http.text({
        method: 'GET',
        url: new URL(`${origin}/${family}/${priority}`),
        name: `GET /${family}`,
        isAllowed: () => true,
        admit: () => budget.acquire(family, { priority }),
        onFailure: (error) => recordThrottle(budget, family, error),
      })
    } catch (error) {
      if (!(error instanceof UpstreamError) || error.facts.status !== 429) throw error
    }
    await sleep(paceMs)
  }
}

const families = ['machine-actions', 'deviceavinfo', 'export']
await Promise.all(
  families.flatMap((family) => [
    hammer(family, 'interactive', 130),
    hammer(family, 'background', 90),
  ]),
)
process.send?.(Object.fromEntries(families.map((family) => [family, requests(`calls|${family}`)])))
process.disconnect()
