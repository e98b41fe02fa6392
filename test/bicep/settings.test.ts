import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { z } from 'zod'
import * as settings from '../../shared/app/settings.ts'
import { loadRegistrations, type Registered, root } from '../functions/load-registrations.ts'
import { type Demands, findSettingBreaches, readSettings } from './deployed-settings.ts'
import { at } from './find-breaches.ts'
import { findItems, findLiterals, memberOf } from './find-literals.ts'
import { readTemplate, textOf } from './read-template.ts'
import { readText, templateTexts, withChange } from './template-texts.ts'

const isShape = (value: unknown): value is Record<string, z.ZodType> =>
  typeof value === 'object' && value !== null
const shapes: Record<string, z.ZodType> = Object.assign(
  {},
  ...Object.entries(settings).flatMap(([name, value]) =>
    /Settings$/.test(name) && isShape(value) ? [value] : [],
  ),
)
const main = readTemplate('bicep/main.bicep', templateTexts['bicep/main.bicep'] ?? '')

let functions: Registered[]
let demands: Demands

beforeAll(async () => {
  functions = await loadRegistrations(join(root, 'functions/index.ts'))
  const bound = JSON.stringify(functions) + readText('host.json')
  demands = {
    bound: [...bound.matchAll(/%(\w+)%/g)].map(([, name = '']) => name),
    required: settings.settingNames.filter(
      (name) => shapes[name]?.safeParse(undefined).success === false,
    ),
  }
})

test('every setting that a binding names or the code needs has a value, and none is refused', () => {
  expect(demands.bound).toContain('TASKHUB_NAME')
  expect(findSettingBreaches(templateTexts, demands)).toEqual([])
})

test('only settings that the app or the host reads are set', () => {
  const platform = /^(?:AzureWebJobs|APPLICATIONINSIGHTS_)/
  const names = [...readSettings(templateTexts).keys()]

  expect(
    names.filter((name) => !platform.test(name) && !settings.settingNames.includes(name)),
  ).toEqual([])
})

test('every connection of a binding is set up for the identity', () => {
  const connections = new Set(functions.flatMap(({ trigger }) => trigger.connection ?? []))
  const names = [...readSettings(templateTexts).keys()]

  expect([...connections]).toEqual(['RELAY_STORAGE'])
  for (const connection of [...connections, 'AzureWebJobsStorage'])
    for (const part of ['queueServiceUri', 'credential', 'clientId'])
      expect(names).toContain(`${connection}__${part}`)
})

test.each<[path: string, from: string, to: string, said: string]>([
  ['bicep/main.bicep', 'AV_HEALTH_SCHEDULE: avHealthSchedule', '', 'AV_HEALTH_SCHEDULE is not set'],
  ['bicep/main.bicep', 'TASKHUB_NAME: taskHubName', "TASKHUB_NAME: ''", 'TASKHUB_NAME is not set'],
  ['bicep/main.bicep', 'TASKHUB_NAME: ', "tz: 'UTC'\n TASKHUB_NAME: ", 'tz is refused'],
  ['bicep/modules/app.bicep', 'AZURE_CLIENT_ID: clientId', '', 'AZURE_CLIENT_ID is not set'],
  [
    'bicep/modules/app.bicep',
    "Homepage: 'true'",
    'Homepage: true',
    'AzureWebJobsDisableHomepage is no text',
  ],
  [
    'bicep/modules/app.bicep',
    'union(platformSettings, ',
    'union(',
    'RELAY_STORAGE__credential is not set',
  ],
])('a breach is found: %s with %s → %s', (path, from, to, said) => {
  expect(findSettingBreaches(withChange(path, from, to), demands)).toContain(said)
})

test('defaults of the templates are those of the code', () => {
  for (const [name, node] of readSettings(templateTexts)) {
    const known = shapes[name]?.safeParse(undefined).data
    const fallback = main.parameters.get(node.text)?.fallback
    if (known !== undefined && fallback)
      expect([name, textOf(fallback)]).toEqual([name, String(known)])
  }
  const hub = textOf(main.parameters.get('taskHubName')?.fallback)
  expect(hub).toMatch(/^[A-Za-z][A-Za-z0-9]{2,44}$/)
})

test('the clouds to choose from are those of the code', () => {
  const allowed = main.parameters.get('defenderCloud')?.decorators.get('allowed')
  const { DEFENDER_CLOUD } = settings.defenderSettings

  const clouds = allowed ? findLiterals(allowed, main, [main]) : []

  expect(clouds).toEqual(DEFENDER_CLOUD.unwrap().options)
})

test('exactly the queues that triggers read are declared', () => {
  const read = functions.flatMap(({ trigger }) =>
    trigger.type === 'queueTrigger' ? String(trigger.queueName) : [],
  )
  const queues = main.variables.get('queues')

  const declared = queues ? findLiterals(queues, main, [main]) : []

  expect(declared?.toSorted()).toEqual(read.toSorted())
})

test('instances that are always there are of groups that exist, durable among them', () => {
  const call = main.modules.find(({ name }) => name === 'app')
  const names = (call ? at(call, 'params.alwaysReady') : [])
    .flatMap((node) => findItems(node, main, [main]) ?? [])
    .map(({ node }) => textOf(memberOf(node, 'name')))

  const groups = ['durable', 'http', 'blob', ...functions.map(({ name }) => `function:${name}`)]
  expect(names).toContain('durable')
  expect(names.filter((name) => !groups.includes(name))).toEqual([])
})
