import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../functions/load-registrations.ts'
import { expand, readParameters, readText, setNames, textOf } from './template-texts.ts'

const parameters = readParameters()
const file = readText('bicep/main.bicepparam')
// What is read twice, or is long, stands in a variable of the file.
const variables = [...file.matchAll(/^var (alertAddress|analystIds) = (.+)$/gm)]
const inlined = variables.reduce(
  (text, [, name = '', value = '']) => text.replaceAll(name, value),
  file,
)
const given = [...inlined.matchAll(/^param (\w+) = (.+)$/gm)]

test('azd finds the templates, the package and the site', () => {
  const azure = readText('azure.yaml')
  const service = /^services:\n {2}(\w+):/m.exec(azure)?.[1]

  for (const set of setNames) {
    const sites = expand(set).filter(({ values }) => values.has('tags.azd-service-name'))
    expect(sites.map(({ type }) => type)).toEqual(['Microsoft.Web/sites'])
    expect(textOf(sites[0]?.values.get('tags.azd-service-name'))).toBe(service)
  }
  expect(/^ {2}path: (.+)$/m.exec(azure)?.[1]).toBe('bicep')
  expect(readText('local/tools/package.ts')).toContain(`'${/dist: (.+)/.exec(azure)?.[1]}'`)
  expect(azure).toContain('remoteBuild: false')
  const scripts = [...azure.matchAll(/run: npm run (?:--silent )?([\w-]+)/g)].map(
    ([, name]) => name,
  )
  expect(scripts).toEqual(['ask-alerts', 'ask-alerts', 'package', 'package'])
  for (const name of scripts)
    expect(JSON.parse(readText('package.json')).scripts).toHaveProperty(name ?? '')
})

test('with two installations in one group azd publishes to the site of its environment', () => {
  const [, output = ''] = /resourceName: \$\{(\w+)\}/.exec(readText('azure.yaml')) ?? []

  expect(
    expand('template').find(({ type, name }) => type === 'output' && name === output),
  ).toBeDefined()
})

test('outputs have names that Azure does not change', () => {
  const outputs = expand('template').flatMap(({ type, name }) => (type === 'output' ? [name] : []))

  expect(outputs.length).toBeGreaterThan(3)
  expect(outputs.filter((name) => !/^[a-z]+(?:[A-Z][a-z]+)*$/.test(name))).toEqual([])
})

test('there is one parameter file, and it sets the parameters of the template', () => {
  const names = given.map(([, name = '']) => name)
  const needed = [...parameters].flatMap(([name, facts]) =>
    [...facts.keys()].some((path) => path.startsWith('defaultValue')) ? [] : [name],
  )

  expect(existsSync(join(root, 'bicep/main.parameters.json'))).toBe(false)
  expect(names.filter((name) => !parameters.has(name))).toEqual([])
  expect(needed.filter((name) => !names.includes(name))).toEqual([])
})

test('without any variable the parameter file means the defaults of the template', () => {
  for (const [, name = '', value = ''] of given) {
    const facts = parameters.get(name)
    const usual = textOf(facts?.get('defaultValue'))
    const yesNo = /^(yes|no)UnlessSet\[toLower\(readEnvironmentVariable\('[A-Z_]+', ''\)\)\]$/.exec(
      value,
    )
    const text = /readEnvironmentVariable\('[A-Z_]+', '(.*?)'\)/.exec(value)?.[1]
    if (facts?.get('type') === '"bool"')
      expect([name, yesNo?.[1]]).toEqual([name, usual === 'true' ? 'yes' : 'no'])
    else if (facts?.has('defaultValue'))
      // A list is a text with commas.
      expect([name, text ?? value.replaceAll("'", '')]).toEqual([name, usual === '[]' ? '' : usual])
  }
  expect(given.length).toBeGreaterThan(7)
})

test('docs/deploy.md lists every parameter, with its variable', () => {
  const rows = [...readText('docs/deploy.md').matchAll(/^\| (`.+?|schedules.+?) \| (.+?) \|/gm)]
  const listed = rows.flatMap(([, names = '', variable = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(
      ([, name]) => [name, /`(\w+)`/.exec(variable)?.[1]] as const,
    ),
  )
  const schedules = [...parameters.keys()].filter((name) => name.endsWith('Schedule'))
  const variables = given.flatMap(([, name, value = '']) => {
    const variable = /readEnvironmentVariable\('(\w+)'/.exec(value)?.[1]
    return variable ? [[name, variable]] : []
  })

  expect([...listed.map(([name]) => name), ...schedules].toSorted()).toEqual(
    [...parameters.keys()].toSorted(),
  )
  for (const [name, variable] of variables)
    expect(Object.fromEntries(listed)).toHaveProperty([name ?? ''], variable)
})
