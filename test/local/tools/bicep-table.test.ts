import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { faults } from '../../../local/tools/bicep/faults.ts'
import {
  compareTables,
  type Expanded,
  readTable,
  writeTable,
} from '../../../local/tools/bicep/table.ts'
import { readText } from '../../bicep/template-texts.ts'
import { root } from '../../functions/load-registrations.ts'

const set = (entries: Record<string, Record<string, string>>): Expanded =>
  new Map(Object.entries(entries).map(([name, values]) => [name, new Map(Object.entries(values))]))

test('what is written is read again, for any values in any sets', () => {
  const word = fc.stringMatching(/^[a-z][a-zA-Z.]{0,8}$/)
  const value = fc.stringMatching(/^"[ -Z^-~]{0,20}"$/)
  const entry = fc.dictionary(word, value, { maxKeys: 4 })
  const expanded = fc.dictionary(
    fc.stringMatching(/^Microsoft\.[A-Z][a-z]{1,6}@1 [a-z-]{1,8}$/),
    entry,
    { maxKeys: 4 },
  )
  fc.assert(
    fc.property(expanded, expanded, (one, other) => {
      const sets = { first: set(one), 'sec-ond': set(other) }
      const { entries } = readTable(writeTable(new Map(Object.entries(sets))))

      for (const [name, wanted] of Object.entries(sets)) {
        const read = entries.filter((all) => all.sets.includes(name))
        expect(
          new Map(
            read.map((all) => [
              `${all.type} ${all.name}`,
              new Map(
                all.values.flatMap((v) => (v.sets.includes(name) ? [[v.path, v.value]] : [])),
              ),
            ]),
          ),
        ).toEqual(wanted)
      }
    }),
  )
})

test('a difference names the resource, the property, and both values', () => {
  const table = (value: string) =>
    writeTable(new Map([['public', set({ 'Microsoft.Web/sites@1 app': { httpsOnly: value } })]]))

  expect(compareTables(table('true'), table('true'))).toEqual([])
  expect(compareTables(table('true'), table('false'))).toEqual([
    '- Microsoft.Web/sites@1 app:  httpsOnly = true',
    '+ Microsoft.Web/sites@1 app:  httpsOnly = false',
  ])
})

test('every planted fault is a change of a template as it is today', () => {
  expect(faults.length).toBeGreaterThanOrEqual(10)
  for (const { file, from, to } of faults) {
    expect(readText(`bicep/${file}`)).toContain(from)
    expect(from).not.toBe(to)
  }
})

test('azd gets an address only from a person: without a terminal the step says how to set one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ask-alerts-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'azd'), '#!/bin/sh\nexit 9\n', { mode: 0o755 })
  const run = (env: Record<string, string>) =>
    spawnSync(process.execPath, [join(root, 'local/tools/ask-alerts.ts')], {
      encoding: 'utf8',
      input: '',
      env: { PATH: [folder, dirname(process.execPath)].join(delimiter), ...env },
    })

  const unset = run({})
  const set = run({ RELAY_ALERT_EMAIL: 'soc@contoso.example' })

  expect(unset).toMatchObject({ status: 0, stdout: '' })
  expect(unset.stderr).toContain('azd env set RELAY_ALERT_EMAIL <address>')
  expect(set).toMatchObject({ status: 0, stdout: '', stderr: '' })
})
