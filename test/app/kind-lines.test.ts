import { expect, test } from 'vitest'
import { resources } from '../../shared/changes/resources/index.ts'
import { alerts } from './alerts-kind.ts'
import { findMissingLines, recordFiles } from './kind-lines.ts'

test('every watched kind has what it needs beside its record', () => {
  expect(findMissingLines(resources)).toEqual([])
})

test('the names and paths of the kinds are their own', () => {
  for (const key of ['name', 'title', 'eventPrefix', 'path'] as const)
    expect(new Set(resources.map((kind) => kind[key])).size).toBe(resources.length)
  expect(new Set(resources.map(({ schedule }) => schedule.setting)).size).toBe(resources.length)
})

test('a record that is not in the list is named', () => {
  expect(findMissingLines(resources, [...recordFiles, 'alerts'])).toEqual([
    'shared/changes/resources/index.ts: alerts is not in the list',
  ])
})

test('each line that a third kind needs and does not have is named with its place', () => {
  expect(findMissingLines([...resources, alerts])).toEqual([
    'local.settings.sample.json: "ALERTS_SCHEDULE": "15 * * * * *"',
    'docs, table of settings: a row for ALERTS_SCHEDULE with its default 15 * * * * *',
    'bicep/main.bicep: a parameter for ALERTS_SCHEDULE with its default 15 * * * * *, and the setting',
    'docs, table of grants: a row for alerts with Alert.Read.All',
    'local/simulator: a kind that answers GET /api/alerts',
    'local/relay/option-table.ts: alerts in the help of --stream',
  ])
})
