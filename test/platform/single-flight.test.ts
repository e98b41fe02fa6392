import { expect, test } from 'vitest'
import { createJoin } from '../../shared/platform/single-flight.ts'

test('work that is asked for under one key at the same time is done once, and again afterwards', async () => {
  const join = createJoin<number>()
  let done = 0
  const work = async () => ++done

  const together = await Promise.all([join('a', work), join('a', work), join('b', work)])
  const later = await join('a', work)

  expect(together).toEqual([1, 1, 2])
  expect(later).toBe(3)
})

test('a failure is told to everybody who waits, and to nobody who comes later', async () => {
  const join = createJoin<string>()
  const failing = async () => Promise.reject(new Error('no'))

  const together = await Promise.allSettled([join('a', failing), join('a', failing)])
  const later = await join('a', async () => 'yes')

  expect(together.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(later).toBe('yes')
})
