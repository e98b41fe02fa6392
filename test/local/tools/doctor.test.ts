import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { providers } from '../../../local/tools/doctor/examine.ts'
import { readText } from '../../bicep/template-texts.ts'
import { root } from '../../functions/load-registrations.ts'

const registered = providers.map((name) => [name, 'Registered'])
/** Answers of az by the start of the command; the first that fits counts. */
const fine: [start: string, answer: unknown][] = [
  ['version', { 'azure-cli': '2.79.0' }],
  ['account show', { name: 'Contoso', user: { name: 'kim@contoso.example' } }],
  ['provider list', registered],
  ['group show', { id: '/subscriptions/1/resourceGroups/rg', location: 'westeurope' }],
  ['functionapp list-flexconsumption-locations', [{ name: 'West Europe' }]],
  ['functionapp list-flexconsumption-runtimes', [{ version: '22' }, { version: '24' }]],
  ['keyvault list-deleted', []],
  ['role assignment list', [{ roleDefinitionName: 'Owner' }]],
  ['cloud show', { endpoints: { microsoftGraphResourceId: 'https://graph.example/' } }],
  ['rest', { value: [{ displayName: 'Privileged Role Administrator' }] }],
]

/** Runs the doctor with a stand-in for az whose answers are `fine`, some replaced; text is an error. */
function examine(changed: Record<string, unknown> = {}, args = ['--group', 'rg'], azd = '1.25.0') {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const cases = fine.map(([start, answer]) => {
    const now = start in changed ? changed[start] : answer
    return typeof now === 'string'
      ? `"${start}"*) echo '${now}' >&2; exit 1 ;;`
      : `"${start}"*) echo '${JSON.stringify(now)}' ;;`
  })
  const say = (name: string, lines: string[]) =>
    writeFileSync(join(folder, name), ['#!/bin/sh', ...lines].join('\n'), { mode: 0o755 })
  if (!('no az' in changed)) say('az', ['case "$*" in', ...cases, '*) exit 9 ;;', 'esac'])
  if (azd) say('azd', [`echo '{"azd":{"version":"${azd}"}}'`])
  const { stdout, status } = spawnSync(
    process.execPath,
    [join(root, 'local/tools/doctor.ts'), ...args],
    { encoding: 'utf8', env: { PATH: `${folder}:${dirname(process.execPath)}:/usr/bin:/bin` } },
  )
  return { status, said: stdout.trim().split('\n') }
}

test('where nothing is missing, it says so and ends with 0', () => {
  const { status, said } = examine()

  expect(said).toEqual([
    'ok       azd: 1.25.0',
    'ok       az: 2.79.0',
    'ok       signed in: kim@contoso.example, subscription Contoso',
    'ok       resource providers: all 9 registered',
    'ok       Flex Consumption: westeurope',
    'ok       Node 24: westeurope',
    expect.stringMatching(/^skipped {2}quota: /),
    expect.stringMatching(/^ok {7}names: /),
    'ok       may grant roles in Azure: Owner',
    'ok       may grant app roles in Entra: Privileged Role Administrator',
    '',
    'Nothing stands in the way.',
  ])
  expect(status).toBe(0)
})

test.each<[change: Record<string, unknown>, said: string, fix: string]>([
  [{ version: { 'azure-cli': '2.9.1' } }, 'TO DO    az: 2.9.1', 'install az 2.60.0'],
  [{ 'account show': 'ERROR: Please run az login' }, 'signed in: Please run az login', 'az login'],
  [
    { 'provider list': registered.slice(1) },
    'not registered: Microsoft.App',
    'az provider register --namespace Microsoft.App',
  ],
  [
    { 'functionapp list-flexconsumption-locations': [{ name: 'eastus' }] },
    'Flex Consumption: not with westeurope',
    'choose another region',
  ],
  [
    { 'functionapp list-flexconsumption-runtimes': [{ version: '22' }] },
    'Node 24: not with westeurope',
    'choose another region',
  ],
  [
    { 'keyvault list-deleted': [{ name: 'kv-relay-1', properties: { location: 'westeurope' } }] },
    'deleted vaults hold kv-relay-1',
    'RELAY_RECOVER_VAULT',
  ],
  [
    { 'role assignment list': [{ roleDefinitionName: 'Contributor' }] },
    'may grant roles in Azure: not with Contributor',
    'ask an Owner of rg',
  ],
])('what must be done first is named with its command: %j', (change, line, fix) => {
  const { status, said } = examine(change)

  const index = said.findIndex((one) => one.includes(line))
  expect(said[index]).toMatch(/^TO DO/)
  expect(said[index + 1]).toContain(fix)
  expect(said.at(-1)).toBe('To do first: 1')
  expect(status).toBe(1)
})

test('what can not be asked is skipped with the reason and stands in nobody’s way', () => {
  const offline = 'ERROR: Connection error: name resolution failed'
  const asked = fine.map(([start]) => start).filter((start) => !/^(?:version|account)/.test(start))
  const { status, said } = examine(
    Object.fromEntries(asked.map((start) => [start, offline])),
    undefined,
    '',
  )

  expect(said.filter((line) => line.startsWith('skipped'))).toHaveLength(7)
  expect(said[0]).toBe('skipped  azd: azd is not installed')
  expect(said.join('\n')).toContain('names: Connection error: name resolution failed')
  expect(status).toBe(0)
})

test('without az the rest can not be asked', () => {
  const { status, said } = examine({ 'no az': true })

  expect(said).toContain('TO DO    az: az is not installed')
  expect(said).toContain('skipped  everything else: it is asked with az')
  expect(status).toBe(1)
})

test('the page on deployment names the same providers', () => {
  const [, list = ''] = /^for name in (.+); do$/m.exec(readText('docs/deploy.md')) ?? []

  expect(list.split(' ').map((name) => `Microsoft.${name}`)).toEqual(providers)
})
