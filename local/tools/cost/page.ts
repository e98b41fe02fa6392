import {
  billedSeconds,
  CALL_S,
  CHANGES_DAYS,
  type Counts,
  DAYS,
  dayOf,
  EXPORTS,
  HISTORY_DAYS,
  LINE_BYTES,
  LINES_AN_EXECUTION,
  type Line,
  monthOf,
  number,
  POST_S,
  platform,
  STORAGE_S,
  type Tenant,
  transitionBytes,
} from './month.ts'
import type { Play } from './play.ts'
import { free, PRICES_READ, type Price, prices } from './prices.ts'
import type { TemplateFacts } from './template-facts.ts'

/** Above this, 512 MB were not tried. */
const MAX_AT_512 = 50_000

/** The tenants of the page, in the order of its columns. */
export const tenantsOf = ({ memory }: TemplateFacts): Tenant[] => [
  { name: '10,000', devices: 10_000, memory, isPrivate: false },
  { name: '1,000,000', devices: 1_000_000, memory: 2048, isPrivate: false },
  { name: '10,000, private', devices: 10_000, memory, isPrivate: true },
]

const sumOf = (lines: Line[]) => lines.reduce((sum, { dollars }) => sum + dollars, 0)

/** The total of each tenant, in whole dollars. */
export const totalsOf = (counts: Counts, facts: TemplateFacts): number[] =>
  tenantsOf(facts).map((tenant) => Math.round(sumOf(monthOf(counts, facts, tenant))))

/** The sentence of the README with the totals. */
export function totalsSentence(counts: Counts, facts: TemplateFacts): string {
  const [small, large, closed] = totalsOf(counts, facts)
  return `A month costs about ${small} US dollars for 10,000 devices, ${large} for 1,000,000, and ${closed} for 10,000 in a private network`
}

/** The page `docs/cost.md`. */
export function costPage(counts: Counts, facts: TemplateFacts): string {
  return `${[
    ...introduction(counts, facts),
    ...monthSection(counts, facts),
    ...countedSection(counts, facts),
    ...platformSection(counts, facts),
    ...priceSection(),
    ...changeSection(counts, facts),
  ].join('\n')}\n`
}

function introduction(counts: Counts, facts: TemplateFacts): string[] {
  return [
    '# Cost',
    '',
    'For those who pay for the app. `npm run cost` writes this page; do not edit it.',
    '',
    `${totalsSentence(counts, facts)}.`,
    '',
    'The app was played on the embedded host with the simulated Defender, and what it asked for was counted. The counts are',
    'multiplied by published prices. **No bill was seen.** Only the bill of a tenant can prove: how long Defender and receivers',
    'take to answer, how often the platform itself asks storage, for how long it keeps an idle instance, your prices, and',
    'whether a transaction of many rows is billed as one operation, as counted here: one for each row would add',
    `${money((1_000_000 * EXPORTS * DAYS * prices.table.dollars) / 10_000)} dollars for 1,000,000 devices.`,
    '',
  ]
}

function monthSection(counts: Counts, facts: TemplateFacts): string[] {
  const tenants = tenantsOf(facts)
  const months = tenants.map((tenant) => monthOf(counts, facts, tenant))
  const [small = [], large = [], closed = []] = months
  const rows = closed.map(({ part }) => {
    const at = (lines: Line[]) => lines.find((line) => line.part === part)
    const quantity = [at(small), at(large)].flatMap((line) => line?.quantity ?? [])
    const said = quantity.length > 0 ? [...new Set(quantity)].join(' / ') : at(closed)?.quantity
    return `| ${part} | ${said} | ${months.map((lines) => money(at(lines)?.dollars)).join(' | ')} |`
  })
  const sums = months.map((lines) => `**${money(sumOf(lines))}**`)
  return [
    `## A month of ${DAYS} days`,
    '',
    'In US dollars. Quantities are those of 10,000 devices, and after the slash of 1,000,000 where they differ.',
    '',
    `| part | quantity | ${tenants.map(({ name }) => name).join(' | ')} |`,
    '|---|---|---|---|---|',
    ...rows,
    `| **sum** | | ${sums.join(' | ')} |`,
    '',
    `Free each month: ${number(free.gbSeconds)} GB-seconds, ${number(free.executions)} executions, ${free.logGb} GB of logs, ${free.egressGb} GB of outgoing data. They are`,
    `for your whole subscription: where other apps use them up, add ${money(free.gbSeconds * prices.gbSecond.dollars)} for computing at most, and ${money(prices.logGb.dollars)} for each`,
    'GB of logs. Not in the table, since it is below ten cents: Key Vault, data that goes through endpoints and gateway,',
    'outgoing data, calls of your own scripts, and events about devices (at most 5,000 an export).',
    '',
  ]
}

function countedSection(counts: Counts, facts: TemplateFacts): string[] {
  const { small, large } = counts
  const [tenant] = tenantsOf(facts)
  const memory = tenant?.memory ?? 512
  const days = [dayOf(counts, small.devices), dayOf(counts, 1_000_000)]
  const rows = Object.entries(days[1] ?? {})
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, big]) => {
      const one = days[0]?.[name] ?? big
      const seconds = [
        billedSeconds(name, one, memory) / one.executions,
        billedSeconds(name, big, 2048) / big.executions,
      ].map((value) => value.toFixed(1))
      const pairs = (['executions', 'table', 'queue', 'call'] as const).map(
        (count) => `${number(one[count])} / ${number(big[count])}`,
      )
      return `| \`${name}\` | ${pairs.join(' | ')} | ${seconds.join(' / ')} |`
    })
  return [
    '## What was counted',
    '',
    `Counted on ${counts.playedOn}, each number for a day: 10,000 devices / 1,000,000 devices.`,
    '',
    '| function | executions | requests to tables | messages sent | calls | billed seconds of one |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    `- **10,000 devices**: a whole day was played: ${number(small.actionsPerHour * 24)} machine actions and ${number(small.actionsPerHour * 6)} investigations, which made ${number(small.events)}`,
    `  events for one subscriber, and ${EXPORTS} exports of all devices in 8 files, each compared with the one before.`,
    `- **1,000,000 devices**: an hour with ${number(large.actionsPerHour)} machine actions and ${number(large.actionsPerHour / 4)} investigations was played (${number(large.events)} events), and`,
    `  counts ${24 / large.hours} times; its ${EXPORTS} exports of ${number(large.devices)} devices count ${1_000_000 / large.devices} times.`,
    `- **Transitions**: the simulated fleet ages a day between its ${EXPORTS} exports, and 100 of its devices then have ${number((large.transitions / large.devices) * 100)} transitions:`,
    '  they come and go, get stale, change their mode. How many a real fleet has was not seen. Each is stored as a change for',
    `  ${CHANGES_DAYS} days, and in the history of its device for ${HISTORY_DAYS} days (\`AV_HEALTH_HISTORY_DAYS\`); the sum has all of them. Twice as`,
    `  many would add ${money(transitionDollars(large, 1_000_000))} dollars for what is stored of 1,000,000 devices.`,
    `- **Billed seconds** of an execution: its CPU time, divided by the cores of the instance (512 MB have a quarter), plus`,
    `  ${STORAGE_S * 1000} ms for each request to storage, ${POST_S} s for each post and ${CALL_S} s for each other call (two posts of a`,
    '  subscription pass together, eight batches of an import); at least 1 s, in steps of 0.1 s. These waits are assumed.',
    '  Azure bills executions that overlap in one instance once; here each counts.',
    `- **Logs**: the lines that were counted, and ${LINES_AN_EXECUTION} of the host for each execution, with ${number(LINE_BYTES)} bytes of columns each.`,
    '- **Stored**: rows by the rule of *Understanding Windows Azure Storage Billing*: twice the length of each text and name.',
    `  Snapshots stay ${DAYS} days (\`AV_HEALTH_RETENTION_DAYS\`), the devices by condition are stored for the`,
    '  two newest of them. Every export has other content than the one before.',
    '',
  ]
}

function platformSection({ small }: Counts, facts: TemplateFacts): string[] {
  const { queues, hubQueues, pollSeconds } = facts
  const timers = [
    'poll-machine-actions',
    'poll-investigations',
    'dispatch-events',
    'resume-exports',
  ]
  const own = timers.reduce((sum, name) => sum + (small.functions[name]?.table ?? 0), 0)
  const { looksAMinute, requestsAQueue, hubBlobReads, timerInstances } = platform
  const looks = looksAMinute * (queues + hubQueues) * requestsAQueue
  return [
    '## What the platform asks in an idle minute',
    '',
    'The embedded host does not do this, so it is computed from public reports. Those on the scale controller are of the',
    'Consumption plan; for Flex Consumption nobody has published its intervals.',
    '',
    '| cause | requests a minute | report |',
    '|---|---|---|',
    `| the scale controller looks at ${queues} queues of the app and ${hubQueues} of the durable hub, each 10 s | ${looks} to queues | [durable extension 391](https://github.com/Azure/azure-functions-durable-extension/issues/391) |`,
    `| it reads a blob of the hub ${hubBlobReads} times | ${looksAMinute * hubBlobReads} to blobs | the same |`,
    `| ${timerInstances} instances with a timer each minute renew the lease of the host | ${timerInstances * platform.hostLeases} to blobs | [host 11930](https://github.com/Azure/azure-functions-host/issues/11930) |`,
    `| their timers renew their locks | ${timerInstances * platform.timerLocks} to blobs | [WebJobs SDK 665](https://github.com/Azure/azure-webjobs-sdk/issues/665) |`,
    `| each timer stores when it ran | ${timerInstances} writes of blobs | |`,
    '',
    `The app itself asks the tables ${number(own / (small.hours * 60))} times in such a minute: its polls, \`dispatch-events\`, and a fifth of a heartbeat. A queue`,
    `is also asked each ${pollSeconds} s (\`maxPollingInterval\`) while an instance for it runs: for a minute after a message. The hub has`,
    'one partition and the app two queues, because each queue costs twelve requests a minute for ever.',
    '',
  ]
}

function priceSection(): string[] {
  const all: Price[] = Object.values(prices)
  return [
    '## Prices',
    '',
    `As read in ${PRICES_READ} in copies of Microsoft's lists, pay as you go, without taxes. Look up those of your region and`,
    'agreement on the page *Pricing* of each service.',
    '',
    '| a | dollars | page |',
    '|---|---|---|',
    ...all.map(({ what, dollars, page }) => `| ${what} | ${dollars} | ${page} |`),
    '',
  ]
}

function changeSection(counts: Counts, facts: TemplateFacts): string[] {
  const [small] = tenantsOf(facts)
  const at = (memory: number) =>
    money(small ? sumOf(monthOf(counts, facts, { ...small, memory })) : 0)
  const waits = (memory: number) =>
    money((memory / 1024) * DAYS * 86_400 * prices.alwaysReady.dollars)
  return [
    '## What changes the sum',
    '',
    `- **Memory.** 512 MB, the default, is for up to ${number(MAX_AT_512)} devices: an import of so many took 235 MB in a process with the`,
    '  app, and the host of Azure needs about 240 MB beside it. Above that set `instanceMemoryMB` to 2048. With 2048 the sum',
    `  for 10,000 devices is ${at(2048)} instead of ${at(512)}.`,
    `- **An instance that is always ready** (\`alwaysReady\`; none by default) costs ${waits(512)} dollars at 512 MB or ${waits(2048)} at 2048 MB`,
    '  while it waits. Its executions have no free amount.',
    '- **A slower schedule** of the polls saves executions and GB-seconds, but only above the free amounts.',
    '- **A private network** costs the same for every number of devices. A subnet and DNS zones of yours save the gateway and',
    '  the zones.',
    '',
    'After a change of the templates or prices: `npm run cost -- --page`. Without that option it counts again, which takes',
    'some minutes.',
  ]
}

const transitionDollars = ({ storedBytes, devices: played }: Play, devices: number) =>
  ((transitionBytes(storedBytes) / played) * devices * prices.tableGb.dollars) / 1e9

const money = (dollars: number | undefined) => (dollars === undefined ? '–' : dollars.toFixed(2))
