import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../functions/load-registrations.ts'
import { at } from './find-breaches.ts'
import { readTemplate, textOf } from './read-template.ts'
import { readText, templateTexts } from './template-texts.ts'

const main = readTemplate('bicep/main.bicep', templateTexts['bicep/main.bicep'] ?? '')
const app = readTemplate('bicep/modules/app.bicep', templateTexts['bicep/modules/app.bicep'] ?? '')
const given = [...readText('bicep/main.bicepparam').matchAll(/^param (\w+) = (.+)$/gm)]

test('azd finds the templates, the package and the site', () => {
  const azure = readText('azure.yaml')
  const service = /^services:\n {2}(\w+):/m.exec(azure)?.[1]

  const site = app.resources.find(({ type }) => type === 'Microsoft.Web/sites')
  expect(site ? at(site, 'tags.azd-service-name').map(textOf) : []).toEqual([service])
  expect(/^ {2}path: (.+)$/m.exec(azure)?.[1]).toBe('bicep')
  expect(readText('local/tools/package.ts')).toContain(`'${/dist: (.+)/.exec(azure)?.[1]}'`)
  expect(azure).toContain('remoteBuild: false')
  expect(JSON.parse(readText('package.json')).scripts).toHaveProperty(
    /run: npm run (\w+)/.exec(azure)?.[1] ?? '',
  )
})

test('there is one parameter file, and it sets the parameters of the template', () => {
  const names = given.map(([, name = '']) => name)
  const needed = [...main.parameters.values()]
    .filter(({ fallback }) => !fallback)
    .map(({ name }) => name)

  expect(existsSync(join(root, 'bicep/main.parameters.json'))).toBe(false)
  expect(names.filter((name) => !main.parameters.has(name))).toEqual([])
  expect(needed.filter((name) => !names.includes(name))).toEqual([])
})

test('the defaults of the parameter file are those of the template', () => {
  for (const [, name = '', value = ''] of given) {
    const fallback = main.parameters.get(name)?.fallback
    const otherwise =
      /readEnvironmentVariable\('\w+', '(.*?)'\)/.exec(value)?.[1] ?? value.replaceAll("'", '')
    if (fallback && fallback.type !== 'member_expression')
      expect([name, otherwise]).toEqual([name, textOf(fallback)])
  }
})

test('texts of the environment become values of the parameter’s type', () => {
  const wrong = given.filter(([, name = '', value = '']) => {
    const type = new RegExp(`^param ${name} (\\w+)`, 'm').exec(
      templateTexts['bicep/main.bicep'] ?? '',
    )?.[1]
    const read = /^(\w+\()?readEnvironmentVariable\('[A-Z_]+', '[^']*'\)(\)?)$/.exec(value)
    return read
      ? (read[1] ?? '(') !== (type === 'string' ? '(' : `${type}(`)
      : /readEnvironment/.test(value)
  })

  expect(given.length).toBeGreaterThan(5)
  expect(wrong.map(([line]) => line)).toEqual([])
})

test('docs/deploy.md lists every parameter, with its variable', () => {
  const rows = [...readText('docs/deploy.md').matchAll(/^\| (`.+?|schedules.+?) \| (.+?) \|/gm)]
  const listed = rows.flatMap(([, names = '', variable = '']) =>
    [...names.matchAll(/`(\w+)`/g)].map(
      ([, name]) => [name, /`(\w+)`/.exec(variable)?.[1]] as const,
    ),
  )
  const schedules = [...main.parameters.keys()].filter((name) => name.endsWith('Schedule'))
  const variables = given.flatMap(([, name, value = '']) => {
    const variable = /readEnvironmentVariable\('(\w+)'/.exec(value)?.[1]
    return variable ? [[name, variable]] : []
  })

  expect([...listed.map(([name]) => name), ...schedules].toSorted()).toEqual(
    [...main.parameters.keys()].toSorted(),
  )
  for (const [name, variable] of variables)
    expect(Object.fromEntries(listed)).toHaveProperty([name ?? ''], variable)
})

test('no template takes a secret, so that none can leak from a deployment', () => {
  const names = Object.entries(templateTexts).flatMap(([path, text]) => [
    ...readTemplate(path, text).parameters.values(),
  ])

  expect(
    names.filter(
      ({ name, decorators }) => decorators.has('secure') || /secret|password|apiKey/i.test(name),
    ),
  ).toEqual([])
})
