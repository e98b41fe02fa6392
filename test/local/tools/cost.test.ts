import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { billedSeconds, type Counts, dayOf, monthOf } from '../../../local/tools/cost/month.ts'
import { costPage, tenantsOf, totalsOf, totalsSentence } from '../../../local/tools/cost/page.ts'
import { readTemplateFacts } from '../../../local/tools/cost/template-facts.ts'
import { frequency, readAlertRules } from '../../bicep/alert-rules.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const counts: Counts = JSON.parse(read('local/tools/cost/counts.json'))
const facts = readTemplateFacts()

describe('the page on cost', () => {
  test('is what the counts, the prices and the templates give: else `npm run cost -- --page`', () => {
    expect(read('docs/cost.md')).toBe(costPage(counts, facts))
  })

  test('has the totals of the first screen of the README', () => {
    const screen = read('README.md').split('\n').slice(0, 30).join(' ')

    expect(screen).toContain(totalsSentence(counts, facts))
  })

  test('keeps what was promised: 12 dollars for 10,000 devices, 40 for 1,000,000', () => {
    const [small = Number.NaN, large = Number.NaN] = totalsOf(counts, facts)

    expect(small).toBeLessThanOrEqual(12)
    expect(large).toBeLessThanOrEqual(40)
  })

  test('knows every alert rule, queue and partition of the templates', () => {
    const { queues, durableTask } = JSON.parse(read('host.json')).extensions

    expect(facts.rules.map((frequency) => `PT${frequency}`)).toEqual(
      readAlertRules().map(() => frequency),
    )
    expect(facts.queues).toBe(read('functions/deliver-events.ts').match(/'event-\w+'/g)?.length)
    expect(facts.hubQueues).toBe(durableTask.storageProvider.partitionCount + 1)
    expect(queues.maxPollingInterval).toBe(`00:00:0${facts.pollSeconds}`)
  })
})

test('a month follows the templates: a rule, a queue and memory have their price', () => {
  const [tenant] = tenantsOf(facts)
  if (!tenant) throw new Error('there is no tenant')
  const sum = (changed: Partial<typeof facts>, memory = tenant.memory) =>
    monthOf(counts, { ...facts, ...changed }, { ...tenant, memory }).reduce(
      (total, { dollars }) => total + dollars,
      0,
    )
  const usual = sum({})

  expect(sum({ rules: [...facts.rules, '5M'] }) - usual).toBeCloseTo(1.5)
  expect(sum({ rules: [...facts.rules, '1H'] }) - usual).toBeCloseTo(0.5)
  expect(() => sum({ rules: ['1M'] })).toThrow('the price of a rule each 1M is not known')
  // Twelve requests a minute for ever.
  expect(sum({ queues: facts.queues + 1 }) - usual).toBeCloseTo(0.21)
  expect(sum({}, 2048)).toBeGreaterThan(usual + 3)
})

test('an execution is billed for a second at least, its waits, and its CPU by the share of a core', () => {
  const one = { executions: 2, cpuMs: 500, table: 20, queue: 0, call: 2, logLines: 0, logBytes: 0 }

  expect(billedSeconds('poll', { ...one, cpuMs: 0, call: 0 }, 512)).toBe(2)
  expect(billedSeconds('poll', one, 2048)).toBeCloseTo(2)
  expect(billedSeconds('poll', one, 512)).toBeCloseTo(3.2)
  // Two posts at a time.
  expect(billedSeconds('deliver-event', { ...one, cpuMs: 0, table: 0, call: 20 }, 512)).toBeCloseTo(
    3,
  )
})

test('only what exports do grows with devices beyond what was played', () => {
  const day = dayOf(counts, 2 * counts.large.devices)
  const played = counts.large.functions

  // What was played has the exports of a day, also where it has only an hour.
  expect(day['import-file']?.table).toBeCloseTo(2 * (played['import-file']?.table ?? 0))
  expect(day['dispatch-events']?.table).toBeCloseTo(24 * (played['dispatch-events']?.table ?? 0))
})
