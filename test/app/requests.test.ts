import { Agent, request as send } from 'node:http'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { httpRoutes } from '../../shared/app/http.ts'
import { problemSchema } from '../../shared/platform/error-responses.ts'
import { startTestStack } from '../stack.ts'
import { type GeneratedRequest, generateRequests } from './generated-requests.ts'

/** `npm run test:requests` sends more. */
const count = Number(process.env.GENERATED_REQUESTS ?? 400)
const seed = Number(process.env.GENERATED_SEED ?? Date.now() % 1_000_000)
const AT_ONCE = 32
const canary = 'canary-7d1f3c5a9b'

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })

/** Sends a request as it is; `fetch` would tidy up its target. */
function exchange(origin: string, { method, target, headers, body }: GeneratedRequest) {
  return new Promise<{ status: number; headers: string; text: string }>((resolve, reject) => {
    const { hostname, port } = new URL(origin)
    const options = { agent, hostname, port, method, path: target, headers }
    const outgoing = send(options, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        resolve({ status: answer.statusCode ?? 0, headers: answer.rawHeaders.join('\n'), text })
      })
    })
    outgoing.on('error', reject)
    if (body !== undefined) outgoing.setHeader('content-length', Buffer.byteLength(body))
    outgoing.end(body)
  })
}

test(`${count} generated requests over every route: no 500, and nothing secret in an answer`, async () => {
  const stack = await startTestStack({ fleet: { size: 20, files: 1 } })
  onTestFinished(async () => {
    agent.destroy()
    await stack.stop()
  })
  const receiver = stack.simulator.receiver('generated')
  const callbackUrl = `${receiver.url}?sig=${canary}`
  stack.simulator.actions.put({ id: 'action-1', status: 'Pending' })
  await stack.post('changes/machine-actions/check')
  const { body: run } = await stack.post('av-health/exports')
  await stack.runToEnd(run.runId)
  const { body: made } = await stack.post('subscriptions', { callbackUrl })
  const [device] = stack.fleet.truth()
  const material = {
    key: stack.keys.function,
    canary,
    callbackUrl,
    ids: ['action-1', run.runId, made.id, device?.machineId ?? '', '101', '102', '50', 'x'],
  }
  const secrets = [
    canary,
    stack.keys.function,
    stack.keys.master,
    ...[stack.storage, stack.secrets].map((text) => /AccountKey=([^;]+)/.exec(text)?.[1] ?? ''),
    stack.simulator.tenableKeys.accessKey,
    stack.simulator.tenableKeys.secretKey,
    made.secret,
  ]

  // As many for each route, and one after the other: what one deletes is missing for the next.
  const numRuns = Math.ceil(count / httpRoutes.length)
  const byRoute = httpRoutes.map((route, index) =>
    fc.sample(generateRequests(route, material), { numRuns, seed: seed + index }),
  )
  const requests = Array.from({ length: numRuns }, (_, turn) =>
    byRoute.flatMap((list) => list[turn] ?? []),
  ).flat()
  const faults: string[] = []
  const statuses: Record<string, number> = {}
  const queue = requests.values()
  async function work() {
    for (const one of queue) {
      const { status, headers, text } = await exchange(stack.host.url, one)
      statuses[status] = (statuses[status] ?? 0) + 1
      const said = `${headers}\n${text}`
      const leaked = secrets.filter((secret) => said.includes(secret))
      const isKeyed = status !== 401 && status !== 404 && status < 500
      const wrong = [
        status === 500 && 'a 500',
        leaked.length > 0 && `a secret: ${leaked.join(', ')}`,
        /[?&]sig=(?!\[hidden\])/.test(said) && 'a signature',
        status >= 502 && !problemSchema.safeParse(parse(text)).success && 'no problem in a 5xx',
        isKeyed && text !== '' && !/x-content-type-options\nnosniff/i.test(headers) && 'no nosniff',
        isKeyed && text !== '' && !/cache-control\n/i.test(headers) && 'no cache-control',
      ].filter(Boolean)
      if (wrong.length > 0)
        faults.push(`${wrong.join(', ')}: ${status} to ${JSON.stringify(one).slice(0, 600)}`)
    }
  }
  // Calls that wait for the budget of an upstream wait for the clock.
  const ticking = setInterval(() => stack.clock.advance(2000), 50)
  onTestFinished(() => clearInterval(ticking))
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  clearInterval(ticking)

  const summary = `GENERATED_SEED=${seed}: ${JSON.stringify(statuses)}`
  if (process.env.GENERATED_REQUESTS) console.log(summary)
  expect(faults.slice(0, 5), summary).toEqual([])
  expect(statuses[200], summary).toBeGreaterThan(requests.length / 20)
})

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
