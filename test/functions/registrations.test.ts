import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Cron } from 'croner'
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import * as settings from '../../shared/app/settings.ts'
import { type LoadedApp, loadApp, root } from './load-registrations.ts'

// Names and routes are promises: dashboards, alerts, running instances and callers depend on them.
const timers = [
  ['export-av-health', '%AV_HEALTH_SCHEDULE%'],
  ['resume-exports', '0 */5 * * * *'],
  ['poll-machine-actions', '%MACHINE_ACTIONS_SCHEDULE%'],
  ['poll-investigations', '%INVESTIGATIONS_SCHEDULE%'],
  ['housekeeping', '0 35 * * * *'],
  ['dispatch-events', '30 * * * * *'],
]
const queues = [
  ['deliver-event', 'event-deliveries'],
  ['retry-event', 'event-retries'],
]
const orchestrations = ['export-run', 'export-import-files']
const activities = [
  ...['begin-run', 'import-file', 'renew-links'],
  ...['begin-compare', 'compare-slice', 'publish-run', 'write-parquet'],
]
const routes = [
  ['health', 'GET', 'health', 'anonymous'],
  ['status', 'GET', 'status', 'function'],
  ['overview', 'GET', 'overview', 'function'],
  ['openapi', 'GET', 'openapi.json', 'anonymous'],
  ['swagger', 'GET', 'swagger.json', 'anonymous'],
  ['list-event-types', 'GET', 'event-types', 'function'],
  ['show-event-schema', 'GET', 'event-types/{kind}', 'function'],
  ['start-av-health-export', 'POST', 'av-health/exports', 'function'],
  ['publish-av-health-export', 'POST', 'av-health/exports/{runId}/publish', 'function'],
  ['list-av-health-exports', 'GET', 'av-health/exports', 'function'],
  ['show-av-health-export', 'GET', 'av-health/exports/{runId}', 'function'],
  ['wait-for-av-health-export', 'GET', 'av-health/exports/{runId}/wait', 'function'],
  ['list-av-health-snapshots', 'GET', 'av-health/snapshots', 'function'],
  ['list-av-health-changes', 'GET', 'av-health/changes', 'function'],
  ['show-av-health-summary', 'GET', 'av-health/summary', 'function'],
  ['show-av-health-trend', 'GET', 'av-health/trend', 'function'],
  ['list-devices', 'GET', 'devices', 'function'],
  ['show-device', 'GET', 'devices/{machineId}', 'function'],
  ['list-device-history', 'GET', 'devices/{machineId}/history', 'function'],
  ['list-items', 'GET', 'changes/{resource}/items', 'function'],
  ['show-item', 'GET', 'changes/{resource}/items/{id}', 'function'],
  ['wait-for-item', 'GET', 'changes/{resource}/items/{id}/wait', 'function'],
  ['check-resource', 'POST', 'changes/{resource}/check', 'function'],
  ['list-events', 'GET', 'events', 'function'],
  ['trigger-on-events', 'GET', 'events/trigger', 'function'],
  ['create-subscription', 'POST', 'subscriptions', 'function'],
  ['list-subscriptions', 'GET', 'subscriptions', 'function'],
  ['show-subscription', 'GET', 'subscriptions/{id}', 'function'],
  ['change-subscription', 'PATCH', 'subscriptions/{id}', 'function'],
  ['delete-subscription', 'DELETE', 'subscriptions/{id}', 'function'],
  ['unsubscribe', 'POST', 'subscriptions/unsubscribe', 'function'],
  ['delete-by-ticket', 'DELETE', 'continue', 'anonymous'],
  ['enable-subscription', 'POST', 'subscriptions/{id}/enable', 'function'],
  ['rotate-subscription-secret', 'POST', 'subscriptions/{id}/rotate-secret', 'function'],
  ['list-deliveries', 'GET', 'subscriptions/{id}/deliveries', 'function'],
  ['show-delivery', 'GET', 'subscriptions/{id}/deliveries/{eventId}', 'function'],
  ['resend-delivery', 'POST', 'subscriptions/{id}/deliveries/{eventId}/resend', 'function'],
  ['recover-deliveries', 'POST', 'subscriptions/{id}/recover', 'function'],
  ['replay-deliveries', 'POST', 'subscriptions/{id}/replay', 'function'],
  ['test-subscription', 'POST', 'subscriptions/{id}/test', 'function'],
  ['show-defender-session', 'GET', 'scan-history/defender/sessions/{id}', 'function'],
  ['list-defender-sessions', 'GET', 'scan-history/defender/sessions', 'function'],
  ['list-defender-definitions', 'GET', 'scan-history/defender/definitions', 'function'],
  ['show-defender-definition', 'GET', 'scan-history/defender/definitions/{id}', 'function'],
  ['show-tenable-scan', 'GET', 'scan-history/tenable/scans/{id}', 'function'],
  ['list-tenable-runs', 'GET', 'scan-history/tenable/scans/{id}/runs', 'function'],
  ['show-tenable-status', 'GET', 'scan-history/tenable/scans/{id}/status', 'function'],
  ['continue', 'GET', 'continue', 'anonymous'],
  ['revoke-tickets', 'POST', 'tickets/revoke', 'function'],
  ['mcp', 'POST', 'GET', 'DELETE', 'mcp', 'function'],
  ['portal', 'GET', 'HEAD', 'portal/{*path}', 'anonymous'],
]
/** Not for callers of the API: they are in no description. */
const undescribed = ['mcp', 'portal']
/** In no connector: who builds a workflow needs none of them. */
const notOffered = [
  'patch /subscriptions/{id}',
  ...['get /continue', 'get /health', 'get /openapi.json', 'get /overview', 'get /swagger.json'],
  ...['post /subscriptions/unsubscribe', 'post /subscriptions/{id}/rotate-secret'],
  'post /tickets/revoke',
]

let functions: LoadedApp['functions']
let descriptions: LoadedApp['descriptions']
const sample = z
  .object({ IsEncrypted: z.literal(false), Values: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(root, 'local.settings.sample.json'), 'utf8'))).Values

beforeAll(async () => {
  ;({ functions, descriptions } = await loadApp(join(root, 'functions/index.ts')))
})

const ofType = (type: string) => functions.filter(({ trigger }) => trigger.type === type)

test('exactly the promised functions are registered, each once', () => {
  const names = functions.map(({ name }) => name)

  const promised = [
    ...[...timers, ...queues, ...routes].map(([name]) => name),
    ...orchestrations,
    ...activities,
  ]
  expect(names.toSorted()).toEqual(promised.toSorted())
  expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length)
})

test('every route has the promised method, path and auth level; only health, continue, the descriptions and the page need no key', () => {
  const found = ofType('httpTrigger').map(({ name, trigger }) => [
    name,
    ...z.array(z.string()).parse(trigger.methods),
    trigger.route,
    trigger.authLevel,
  ])

  expect(found).toEqual(expect.arrayContaining(routes))
  expect(found).toHaveLength(routes.length)
})

test('the descriptions, as the app answers them, have exactly the registered routes of the API; a connector has those for workflows', () => {
  const registered = ofType('httpTrigger').flatMap(({ name, trigger }) =>
    undescribed.includes(name)
      ? []
      : [`${String(trigger.methods).toLowerCase()} /${trigger.route}`],
  )
  const [modern, old] = [descriptions.openapi, descriptions.swagger].map(({ paths }) =>
    Object.entries(paths)
      .flatMap(([path, operations]) =>
        Object.keys(operations).flatMap((key) => (key.startsWith('x-') ? [] : `${key} ${path}`)),
      )
      .toSorted(),
  )
  expect(modern).toEqual(registered.toSorted())
  expect([...(old ?? []), ...notOffered].toSorted()).toEqual(modern)
})

test('no route starts with a prefix of the host, and no two match the same requests', () => {
  const taken = ofType('httpTrigger').map(
    ({ trigger }) => `${trigger.methods} ${String(trigger.route).replace(/\{\w+\}/g, '{}')}`,
  )

  expect(taken.filter((route) => /^\S+ \/?(?:admin|runtime)\b/i.test(route))).toEqual([])
  expect(new Set(taken).size).toBe(taken.length)
})

test('every timer has the promised schedule, and the schedule has a next run', () => {
  const found = ofType('timerTrigger').map(({ name, trigger }) => [name, trigger.schedule])

  expect(found.toSorted()).toEqual(timers.toSorted())
  for (const [, schedule] of found) {
    const setting = /^%(\w+)%$/.exec(String(schedule))?.[1]
    const cron = new Cron(setting ? (sample[setting] ?? '') : String(schedule), {
      mode: '6-part',
      timezone: 'UTC',
    })
    expect(cron.nextRun(), `${schedule}`).toBeInstanceOf(Date)
  }
})

test('every queue has the promised name and is in the data account', () => {
  const found = ofType('queueTrigger')

  expect(found.map(({ name, trigger }) => [name, trigger.queueName])).toEqual(queues)
  expect(found.map(({ trigger }) => trigger.connection)).toEqual(queues.map(() => 'RELAY_STORAGE'))
})

test('orchestrations and activities keep the names that running instances know', () => {
  expect(ofType('orchestrationTrigger').map(({ name }) => name)).toEqual(orchestrations)
  expect(ofType('activityTrigger').map(({ name }) => name)).toEqual(activities)
})

test('functions that start or continue a run have the durable client', () => {
  const found = functions.filter(
    ({ name, trigger }) =>
      (trigger.type === 'httpTrigger' && name !== 'portal') ||
      ['export-av-health', 'resume-exports', 'housekeeping'].includes(name),
  )

  expect(
    found.filter(({ others }) => !others.includes('durableClient')).map(({ name }) => name),
  ).toEqual([])
})

test('every setting that a binding or host.json names has a value in the sample', () => {
  const bound = JSON.stringify(functions) + readFileSync(join(root, 'host.json'), 'utf8')
  const connections = functions.map(({ trigger }) => trigger.connection ?? 'AzureWebJobsStorage')
  const named = [...bound.matchAll(/%(\w+)%/g)].map(([, name]) => name)

  const missing = [...named, ...connections].filter((name) => !sample[String(name)])

  expect(named).toContain('TASKHUB_NAME')
  expect(missing).toEqual([])
})

test('the sample has every default of the app, and only settings that are read', () => {
  const isShape = (value: unknown): value is z.ZodRawShape =>
    typeof value === 'object' && value !== null
  const sections = Object.entries(settings).flatMap(([name, section]) =>
    name.endsWith('Settings') && isShape(section) ? [section] : [],
  )
  const read = sections.flatMap((section) => Object.entries(z.object(section).parse({})))
  const defaults = read.map(([name, value]) => [name, String(value)])
  const hostOnly = [
    'FUNCTIONS_WORKER_RUNTIME',
    'AzureWebJobsStorage',
    'AzureWebJobsDisableHomepage',
  ]

  expect(defaults.length).toBeGreaterThan(5)
  expect(sample).toMatchObject(Object.fromEntries(defaults))
  expect(
    Object.keys(sample).filter((name) => ![...hostOnly, ...settings.settingNames].includes(name)),
  ).toEqual([])
  expect(sample.TASKHUB_NAME).toMatch(/^[A-Za-z][A-Za-z0-9]{2,44}$/)
  expect(sample.AzureWebJobsDisableHomepage).toBe('true')
})
