import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { z } from 'zod'
import * as settings from '../../shared/app/settings.ts'
import { loadRegistrations, type Registered, root } from '../functions/load-registrations.ts'
import { neededSettings, refusedSettings } from './allowed-values.ts'
import {
  expand,
  listAt,
  readParameters,
  readSettings,
  readText,
  setNames,
  textOf,
} from './template-texts.ts'

const isShape = (value: unknown): value is Record<string, z.ZodType> =>
  typeof value === 'object' && value !== null
const shapes: Record<string, z.ZodType> = Object.assign(
  {},
  ...Object.entries(settings).flatMap(([name, value]) =>
    /Settings$/.test(name) && isShape(value) ? [value] : [],
  ),
)
const parameters = readParameters()

let functions: Registered[]
/** Names in `%…%`, which must have a value or the function does not run, and settings that the code has no default for. */
let demanded: string[]

beforeAll(async () => {
  functions = await loadRegistrations(join(root, 'functions/index.ts'))
  const bound = JSON.stringify(functions) + readText('host.json')
  demanded = [
    ...[...bound.matchAll(/%(\w+)%/g)].map(([, name = '']) => name),
    ...settings.settingNames.filter((name) => shapes[name]?.safeParse(undefined).success === false),
  ]
})

/** Settings that are refused, missing or empty. */
function findSettingBreaches(given: Map<string, string>): string[] {
  const refused = new Set(refusedSettings.map((name) => name.toLowerCase()))
  return [
    ...[...given.keys()]
      .filter((name) => refused.has(name.toLowerCase()))
      .map((name) => `${name} is refused`),
    ...[...new Set([...neededSettings, ...demanded])]
      .filter((name) => !given.get(name))
      .map((name) => `${name} is not set`),
    ...[...given].filter(([, value]) => value === 'True').map(([name]) => `${name} is capital`),
  ]
}

test.each(setNames)(
  'every setting that a binding names or the code needs has a value, and none is refused: %s',
  (set) => {
    expect(demanded).toContain('TASKHUB_NAME')
    expect(findSettingBreaches(readSettings(expand(set)))).toEqual([])
  },
)

test.each<[change: [string, string | undefined], said: string]>([
  [['AV_HEALTH_SCHEDULE', undefined], 'AV_HEALTH_SCHEDULE is not set'],
  [['TASKHUB_NAME', ''], 'TASKHUB_NAME is not set'],
  [['tz', 'UTC'], 'tz is refused'],
  [['RELAY_STORAGE__credential', undefined], 'RELAY_STORAGE__credential is not set'],
])('a wrong setting is found: %j', ([name, value], said) => {
  const given = readSettings()
  if (value === undefined) given.delete(name)
  else given.set(name, value)

  expect(findSettingBreaches(given)).toEqual([said])
})

test('only settings that the app or the host reads are set', () => {
  const platform = /^(?:AzureWebJobs|APPLICATIONINSIGHTS_)/
  const names = setNames.flatMap((set) => [...readSettings(expand(set)).keys()])

  expect(
    names.filter((name) => !platform.test(name) && !settings.settingNames.includes(name)),
  ).toEqual([])
})

test('every connection of a binding is set up for the identity', () => {
  const connections = new Set(functions.flatMap(({ trigger }) => trigger.connection ?? []))
  const names = [...readSettings().keys()]

  expect([...connections]).toEqual(['RELAY_STORAGE'])
  for (const connection of [...connections, 'AzureWebJobsStorage'])
    for (const part of ['queueServiceUri', 'credential', 'clientId'])
      expect(names).toContain(`${connection}__${part}`)
})

test('secrets go to the host account, which no reader of the data has a role on', () => {
  for (const set of setNames) {
    const given = readSettings(expand(set))
    expect(given.get('RELAY_SECRETS__tableServiceUri')).toBe(
      given.get('AzureWebJobsStorage__tableServiceUri'),
    )
    expect(given.get('RELAY_SECRETS__tableServiceUri')).not.toBe(
      given.get('RELAY_STORAGE__tableServiceUri'),
    )
  }
})

test('defaults of the templates are those of the code', () => {
  const known = [...readSettings()].flatMap(([name, value]) => {
    const usual = shapes[name]?.safeParse(undefined).data
    return usual === undefined ? [] : [[name, value, String(usual)] as const]
  })

  expect(known.length).toBeGreaterThan(3)
  for (const [name, value, usual] of known) expect([name, value]).toEqual([name, usual])
  expect(readSettings().get('TASKHUB_NAME')).toMatch(/^[A-Za-z][A-Za-z0-9]{2,44}$/)
})

test('the clouds to choose from are those of the code', () => {
  const { DEFENDER_CLOUD } = settings.defenderSettings

  expect(listAt(parameters.get('defenderCloud'), /^allowedValues/)).toEqual(
    DEFENDER_CLOUD.unwrap().options,
  )
})

test('exactly the queues that triggers read are declared', () => {
  const read = functions.flatMap(({ trigger }) =>
    trigger.type === 'queueTrigger' ? String(trigger.queueName) : [],
  )
  const declared = expand('public').flatMap(({ type, name }) =>
    type.endsWith('/queues') ? [name.split('/').at(-1)] : [],
  )

  expect(declared.toSorted()).toEqual(read.toSorted())
})

test('no instance waits unless it is asked for, and those that wait are of groups that exist', () => {
  const waiting = (set: string) => {
    const site = expand(set).find(({ type }) => type === 'Microsoft.Web/sites')
    return listAt(site?.values, /alwaysReady(?:\[\d+\]\.name)?$/)
  }
  const groups = ['durable', 'http', 'blob', ...functions.map(({ name }) => `function:${name}`)]

  expect(waiting('public')).toEqual(['[]'])
  expect(waiting('landing-zone').filter((name) => !groups.includes(name))).toEqual([])
  expect(textOf(parameters.get('instanceMemoryMB')?.get('defaultValue'))).toBe('512')
})
