import { expect, test } from 'vitest'
import { createPool, PoolClosed } from '../../../local/host/durable/hub.ts'

test('the limit of concurrent jobs holds, and jobs run in the order of arrival, also when new ones arrive meanwhile', async () => {
  const pool = createPool(2)
  const order: number[] = []
  let running = 0
  let most = 0
  const job = (number: number) => () => {
    order.push(number)
    running += 1
    most = Math.max(most, running)
    return new Promise<void>((resolve) => {
      setImmediate(() => {
        running -= 1
        resolve()
      })
    })
  }

  const first = [1, 2, 3, 4].map((number) => pool.run(job(number)))
  await first[0]
  const later = [5, 6, 7].map((number) => pool.run(job(number)))
  await Promise.all([...first, ...later])

  expect(order).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect(most).toBe(2)
})

test('a closed pool starts no more jobs; running ones end', async () => {
  const pool = createPool(1)
  const { promise, resolve } = Promise.withResolvers<string>()
  const running = pool.run(() => promise)
  const waiting = pool.run(async () => 'never')

  pool.close()
  resolve('ended')

  await expect(waiting).rejects.toBeInstanceOf(PoolClosed)
  await expect(pool.run(async () => 'never')).rejects.toBeInstanceOf(PoolClosed)
  await expect(running).resolves.toBe('ended')
})
