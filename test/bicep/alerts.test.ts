import { globSync } from 'node:fs'
import { expect, test } from 'vitest'
import { root } from '../functions/load-registrations.ts'
import { queryFiles, readAlertRules } from './alert-rules.ts'
import { findTraces, fires, readQuery, toMs } from './evaluate-query.ts'
import { expand, readText } from './template-texts.ts'

const rules = readAlertRules()

test('every rule has a query file of its own name, and every query file its rule', () => {
  expect(rules.map(({ name }) => name).toSorted()).toEqual(queryFiles.toSorted())
  expect(rules.filter(({ name, file }) => name !== file)).toEqual([])
})

test('every query has the one form, and starts with words that the code logs', () => {
  const sources = globSync('shared/**/*.ts', { cwd: root }).map((path) => readText(path))

  const unknown = rules
    .map(({ query }) => readQuery(query).message)
    .filter((message) => !sources.some((source) => source.includes(`('${message}', `)))

  expect(unknown).toEqual([])
})

test('the service accepts every rule', () => {
  for (const { name, frequency, window, severity, operator, threshold, query } of rules) {
    expect(name).not.toMatch(/[#<>%&:\\?/{}*]/)
    expect(severity).toBeGreaterThanOrEqual(0)
    expect(severity).toBeLessThanOrEqual(4)
    expect(['GreaterThan', 'LessThan']).toContain(operator)
    // A rule that resolves itself must not run less often, and a rule that runs less often than its window leaves gaps.
    expect(toMs(frequency)).toBeLessThanOrEqual(toMs('PT12H'))
    expect(toMs(window)).toBeGreaterThanOrEqual(toMs(frequency))
    expect(toMs(window)).toBeLessThanOrEqual(toMs('P2D'))
    expect((readQuery(query).hours ?? 0) * 3_600_000).toBeLessThanOrEqual(toMs(window))
    // Only rules that look for a success line fire when there is none.
    expect(fires({ operator, threshold }, 0)).toBe(name.startsWith('no-'))
  }
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
])('a query of another form is seen: %j', (query) => {
  expect(() => readQuery(query)).toThrow('another form')
})

test('a query finds the same lines as Azure: whole words, the right facts, within its time', () => {
  const at = (minutes: number) => new Date(minutes * 60_000)
  const traces = [
    { at: at(0), message: 'export run ended {"state":"failed"}' },
    { at: at(10), message: 'export run ended {"state":"empty"}' },
    { at: at(20), message: 'export run ended early {"state":"failed"}' },
    { at: at(30), message: 'export run ended {"state":"failed","reason":"{"}' },
    { at: at(50), message: 'export run ended {"state":"failed"}' },
  ]
  const failed = readQuery(rules.find(({ name }) => name === 'failed-run')?.query ?? '')

  const found = findTraces(failed, traces, toMs('PT30M'), at(40))

  expect(found.map((trace) => trace.at)).toEqual([at(30)])
})

test('the rules that are deployed are those that the tests evaluate', () => {
  const deployed = expand('public').flatMap(({ type, values }) =>
    type.endsWith('/scheduledQueryRules')
      ? [values.get('properties.criteria.allOf[0].query') ?? '']
      : [],
  )

  expect(deployed.toSorted()).toEqual(rules.map(({ file }) => `the text of ${file}.kql`).toSorted())
})
