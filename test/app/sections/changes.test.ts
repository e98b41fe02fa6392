import { afterEach, beforeEach, expect, test } from 'vitest'
import { theApp } from '../../../shared/app.ts'
import { createLog } from '../../../shared/platform/log.ts'
import { type PlayedDay, startDay } from '../played-day.ts'

const traced = { log: createLog({ info() {}, warn() {}, error() {} }), trace: {} }

let day: PlayedDay
beforeEach(async () => {
  day = await startDay(new Date('2026-09-01T00:00:00Z'))
})
afterEach(() => day.stop())

/** The tokens that calls of machine actions used, by priority. */
async function used(): Promise<{ interactive: number; background: number }> {
  const { table } = await theApp().base()
  const row = await table('Budgets').get('defender', 'calls|machine-actions')
  const entries: number[][] = JSON.parse(String(row?.columns.used ?? '[]'))
  const sum = (column: number) => entries.reduce((total, entry) => total + (entry[column] ?? 0), 0)
  return { interactive: sum(1), background: sum(2) }
}

test('a request for an item uses no token of the timer', async () => {
  const { context: pollContext } = await theApp().changes()

  await pollContext('machine-actions', traced).source.get('nobody-knows-it')

  expect(await used()).toEqual({ interactive: 1, background: 0 })
})

test('the timer uses no token of callers', async () => {
  const { context: pollContext } = await theApp().changes()

  await pollContext('machine-actions', traced, 'background').source.get('nobody-knows-it')

  expect(await used()).toEqual({ interactive: 0, background: 1 })
})
