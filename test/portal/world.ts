import { createFleet } from '../../local/simulator/fleet.ts'
import { ensurePortal } from '../../local/tools/portal.ts'
import type { TestStack, TestStackOptions } from '../stack.ts'
import { noTimers, startTestStack } from '../stack.ts'

/** Names that break pages which take them for markup. */
export const hostileNames = [
  '<img src=x onerror="document.title=\'broken\'">',
  '"><script>document.title="broken"</script>',
  '{{alert(1)}} &lt;b&gt; %3Cb%3E',
  `long-${'x'.repeat(400)}`,
  'ראשי\u202Eevil‮ 日本語 🦊',
]

/** A device that is in no snapshot: a scan of the samples names it. */
export const scannedDevice = { machineId: 'f'.repeat(40), computerDnsName: 'desktop-test2' }

const DAY_MS = 24 * 3_600_000
const HOUR_MS = 3_600_000

interface WorldOptions {
  /** The devices of each snapshot, one a day. */
  snapshots: number[]
  /** Without these each timer is called by the test alone. */
  schedules?: Record<string, string>
  accounts?: TestStackOptions['accounts']
}

/**
 * The app with something of everything: snapshots of a fleet, the last run stopped by a guard; actions on its devices,
 * investigations; receivers that take events, fail and are gone; scans.
 */
export async function startFilledApp({ snapshots, schedules, accounts }: WorldOptions) {
  await ensurePortal()
  const fleetOf = (size: number, at: Date) =>
    createFleet({ size, files: 4, badLines: 3, generatedTime: at.toISOString() })
  const stack = await startTestStack({ env: schedules ?? noTimers, fleet: { size: 0 }, accounts })
  const publish = async (size: number) => {
    stack.simulator.setFleet(fleetOf(size, stack.clock.now()))
    const { body } = await stack.post('av-health/exports')
    await stack.runToEnd(body.runId)
  }
  const machines = [...fleetOf(40, stack.clock.now()).truth(), scannedDevice]
  addItems(stack, machines, 0)
  await poll(stack)
  await subscribe(stack)
  for (const [day, devices] of snapshots.entries()) {
    if (day > 0) stack.clock.advance(DAY_MS)
    await publish(devices)
  }
  addItems(stack, machines, 1)
  await poll(stack)
  stack.clock.advance(HOUR_MS / 4)
  addItems(stack, machines, 2)
  await poll(stack)
  // A guard stops it: most devices are missing.
  await publish((snapshots.at(-1) ?? 0) / 10)
  return stack
}

async function poll(stack: TestStack) {
  for (const resource of ['machine-actions', 'investigations'])
    await stack.post(`changes/${resource}/check`)
}

/** One receiver takes everything, one fails, one is gone. */
async function subscribe({ simulator, post }: TestStack) {
  const names = { tickets: 'Tickets of the operations team', chat: hostileNames[0], old: null }
  for (const [name, description] of Object.entries(names)) {
    const { url, setMode } = simulator.receiver(name)
    if (name === 'chat') setMode('refuse', { status: 503 })
    if (name === 'old') setMode('gone')
    await post('subscriptions', { callbackUrl: url, ...(description && { description }) })
  }
}

const types = ['RunAntiVirusScan', 'CollectInvestigationPackage', 'LiveResponse', 'Isolate']
const statuses = ['Pending', 'InProgress', 'Succeeded', 'Failed']
const commands = [
  {
    index: 0,
    startTime: null,
    endTime: null,
    commandStatus: 'Completed',
    errors: [],
    command: { type: 'GetFile', params: [] },
  },
  {
    index: 1,
    startTime: null,
    endTime: null,
    commandStatus: 'Failed',
    errors: ['The file was not found.'],
    command: { type: 'RunScript', params: [] },
  },
]

interface Machine {
  machineId: string
  computerDnsName?: string | number | null
}

/** Actions of all types in all states, and investigations. Those of round 1 have hostile names. */
function addItems(
  { simulator: { actions, investigations } }: TestStack,
  machines: Machine[],
  round: number,
) {
  const usual = { requestor: 'analyst@contoso.example', requestorComment: 'Asked for by case 4711' }
  for (const [index, { machineId, computerDnsName }] of machines.entries()) {
    const name = round === 1 ? (hostileNames[index] ?? computerDnsName) : computerDnsName
    const texts = name === computerDnsName ? usual : { requestor: name, requestorComment: name }
    const type = types[index % types.length]
    actions.put({
      id: `action-${round}-${index}`,
      ...texts,
      machineId,
      computerDnsName: name,
      type,
      // Isolated devices stay so.
      status: type === 'Isolate' ? 'Succeeded' : statuses[(index + round) % statuses.length],
      ...(type === 'LiveResponse' && { commands }),
      ...(type === 'Isolate' && { scope: index % 8 === 3 ? 'Full' : 'Selective' }),
    })
    if (index < 12)
      investigations.put({
        id: String(900 + 100 * round + index),
        machineId,
        computerDnsName: name,
        state: index % 3 ? 'Running' : 'Benign',
      })
  }
}
