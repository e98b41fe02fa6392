import { expect, test } from 'vitest'
import { singleFlight } from '../../shared/platform/single-flight.ts'

const joining = <T>() => singleFlight((_key: string, work: () => Promise<T>) => work())

test('work for one key at the same time is done once, and again afterwards', async () => {
  const join = joining<number>()
  let done = 0
  const work = async () => ++done

  const together = await Promise.all([join('a', work), join('a', work), join('b', work)])
  const later = await join('a', work)

  expect(together).toEqual([1, 1, 2])
  expect(later).toBe(3)
})

test('all waiting calls get a failure, and no later call does', async () => {
  const join = joining<string>()
  const failing = async () => Promise.reject(new Error('no'))

  const together = await Promise.allSettled([join('a', failing), join('a', failing)])
  const later = await join('a', async () => 'yes')

  expect(together.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(later).toBe('yes')
})

test('with `keep` the work is done once, but a failure is tried again', async () => {
  let tries = 0
  const make = singleFlight(
    async () => {
      if (++tries === 1) throw new Error('no')
      return tries
    },
    { keep: true },
  )

  await expect(make()).rejects.toThrow('no')

  expect([await make(), await make()]).toEqual([2, 2])
})
