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

/** The places that calls of machine actions took, by lane. */
async function taken(): Promise<{ person: number; poll: number }> {
  const { table } = await theApp().base()
  const row = await table('Budgets').get('defender', 'calls|machine-actions')
  const given: number[][] = JSON.parse(String(row?.columns.given ?? '[]'))
  const sum = (column: number) => given.reduce((total, entry) => total + (entry[column] ?? 0), 0)
  return { person: sum(1), poll: sum(2) }
}

test('whoever asks for an item takes no place from the timer', async () => {
  const { watch } = await theApp().changes()

  await watch('machine-actions', traced).source.get('nobody-knows-it')

  expect(await taken()).toEqual({ person: 1, poll: 0 })
})

test('the timer takes no place from whoever asks', async () => {
  const { watch } = await theApp().changes()

  await watch('machine-actions', traced, 'poll').source.get('nobody-knows-it')

  expect(await taken()).toEqual({ person: 0, poll: 1 })
})
