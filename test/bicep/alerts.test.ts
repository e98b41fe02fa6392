import { globSync } from 'node:fs'
import { expect, test } from 'vitest'
import { severities } from '../../shared/app/problem-codes.ts'
import { root } from '../functions/load-registrations.ts'
import { frequency, queryFiles, readAlertRules, window } from './alert-rules.ts'
import { countRows, readQuery, type Trace, toMs } from './evaluate-query.ts'
import { expand, readText } from './template-texts.ts'

const rules = readAlertRules()

test('every rule has a query file of its own name, and every query file its rule', () => {
  expect(rules.map(({ name }) => name).toSorted()).toEqual(queryFiles.toSorted())
  expect(rules.filter(({ name, file }) => name !== file)).toEqual([])
})

test('every severity has one rule, which finds the alerts of its severity in words that the code logs', () => {
  const sources = globSync('shared/**/*.ts', { cwd: root }).map((path) => readText(path))
  const read = rules.map(({ query }) => readQuery(query))

  expect(read.map(({ fact, is }) => [fact, is])).toEqual(severities.map((one) => ['alert', one]))
  for (const message of read.flatMap(({ message, absent }) => [message, absent ?? message]))
    expect(sources.some((source) => source.includes(`('${message}', `))).toBe(true)
})

test('the service accepts every rule', () => {
  for (const { name, severity } of rules) {
    expect(name).not.toMatch(/[#<>%&:\\?/{}*]/)
    expect(severity).toBeGreaterThanOrEqual(0)
    expect(severity).toBeLessThanOrEqual(4)
  }
  // A rule that resolves itself must not run less often, and a rule that runs less often than its window leaves gaps.
  expect(toMs(frequency)).toBeLessThanOrEqual(toMs('PT12H'))
  expect(toMs(window)).toBeGreaterThanOrEqual(toMs(frequency))
  // The heartbeat is logged each five minutes: one that is late is no alarm.
  expect(toMs(window)).toBeGreaterThanOrEqual(3 * toMs('PT5M'))
})

test('every rule reads the component and resolves itself', () => {
  const text = readText('bicep/modules/alerts.bicep')

  expect(text).toContain('scopes: [insightsId]')
  expect(text).toContain('autoMitigate: true')
  expect(text).not.toMatch(/muteActionsDuration|metricMeasureColumn/)
})

test('no telemetry of the app is dropped: lines and exceptions are never sampled, and no level hides them', () => {
  const { logging } = JSON.parse(readText('host.json'))

  expect(logging.applicationInsights.samplingSettings.excludedTypes.split(';').toSorted()).toEqual([
    'Exception',
    'Trace',
  ])
  for (const level of Object.values(logging.logLevel ?? {}))
    expect(['Information', 'Debug', 'Trace']).toContain(level)
})

test.each([
  'AppTraces\n| where Message startswith_cs "heartbeat {"\n',
  'traces\n| where message == "heartbeat"\n',
  'traces\n| where message startswith_cs "heartbeat"\n',
  'traces\n| where message startswith_cs "heartbeat {"\n| summarize count()\n',
  'traces\n| where message startswith_cs "problem {"\n',
])('a query of another form is seen: %j', (query) => {
  expect(() => readQuery(query)).toThrow('another form')
})

test('a query finds the same lines as Azure: whole words, the right fact, within its time, and what is absent', () => {
  const at = (minutes: number) => new Date(minutes * 60_000)
  const line = (minutes: number, message: string): Trace => ({ at: at(minutes), message })
  const beat = line(38, 'heartbeat {}')
  const others = [
    beat,
    line(20, 'problem {"alert":"error"}'),
    line(30, 'problem {"alert":"warning"}'),
    line(31, 'problem seen {"alert":"error"}'),
    line(50, 'problem {"alert":"error"}'),
  ]
  const errors = readQuery(rules.find(({ name }) => name === 'errors')?.query ?? '')
  const count = (traces: Trace[]) => countRows(errors, traces, toMs('PT15M'), at(40))

  expect(count(others)).toBe(0)
  expect(count([...others, line(39, 'problem {"title":"{","alert":"error"}')])).toBe(1)
  expect(count([line(24, 'heartbeat {}'), line(39, 'heartbeat lost {}')])).toBe(1)
})

test('the rules that are deployed are those that the tests evaluate', () => {
  const deployed = expand('public').flatMap(({ type, values }) =>
    type.endsWith('/scheduledQueryRules')
      ? [values.get('properties.criteria.allOf[0].query') ?? '']
      : [],
  )

  expect(deployed.toSorted()).toEqual(rules.map(({ file }) => `the text of ${file}.kql`).toSorted())
})
