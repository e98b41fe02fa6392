import { fork } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startAzurite } from '../local/azurite.ts'
import { defenderLimits } from '../shared/app/flows.ts'
import { createTables } from '../shared/platform/azure-table.ts'
import { createUpstream } from './platform/budget-load.ts'

/** Two processes share one budget for real minutes (default 3) while a server counts; ends with 1 when it was too much. */
const minutes = Number(process.argv[2] ?? 3)
if (!(minutes > 0)) {
  console.error('Usage: npm run test:budget [-- minutes]')
  process.exit(2)
}
const upstreams = new Map<string, ReturnType<typeof createUpstream>>()
const counted = ['machine-actions', 'deviceavinfo', 'export']
for (const family of counted) upstreams.set(family, createUpstream())

const server = createServer((request, response) => {
  const [, family = '', priority] = (request.url ?? '').split('/')
  upstreams.get(family)?.seen.push({
    atMs: Date.now(),
    instance: 0,
    priority: priority === 'interactive' ? 'interactive' : 'background',
  })
  response.end('{}')
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const azurite = await startAzurite()
const startMs = Date.now()
const untilMs = startMs + minutes * 60_000

/** Resolves with its storage requests by family. */
async function runInstance(skewMs: number): Promise<Record<string, number>> {
  const child = fork(new URL('./budget-process.ts', import.meta.url), [
    azurite.connectionString(),
    origin,
    String(untilMs),
    String(skewMs),
  ])
  let requests: Record<string, number> = {}
  child.on('message', (counted: Record<string, number>) => {
    requests = counted
  })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`an instance ended with ${code}`)
  return requests
}

try {
  await createTables({ connectionString: azurite.connectionString() })('Budgets').create()
  const requests = await Promise.all([runInstance(0), runInstance(-90_000)])
  for (const family of counted) {
    const { seen, most, longestGapMs } = upstreams.get(family) ?? createUpstream()
    const { perMinute = 0 } = defenderLimits[family] ?? {}
    const gaps = (['interactive', 'background'] as const).map((priority) =>
      longestGapMs(priority, startMs, untilMs),
    )
    const fullest = most(60_000)
    console.log(
      `${family}: ${seen.length} calls, at most ${fullest} of ${perMinute} in any minute,`,
      `${requests.reduce((sum, one) => sum + (one[family] ?? 0), 0)} storage requests,`,
      `longest time without a call: interactive ${gaps[0]} ms, background ${gaps[1]} ms`,
    )
    if (fullest > perMinute || seen.length === 0) process.exitCode = 1
  }
} finally {
  server.closeAllConnections()
  server.close()
  await azurite.stop()
}
