import { expect, test } from 'vitest'
import { finishAll } from '../../shared/platform/errors.ts'

const first = new Error('first')
const second = new Error('second')
const fail = (error: Error) => () => Promise.reject(error)

test('what failed stops nothing that comes after it, and is thrown as it is', async () => {
  const done: number[] = []
  const works = [async () => done.push(1), fail(first), async () => done.push(3)]

  await expect(finishAll(works)).rejects.toBe(first)

  expect(done).toEqual([1, 3])
})

test('several failures are thrown together, each by name', async () => {
  const failing = finishAll([fail(first), fail(second)])

  await expect(failing).rejects.toMatchObject({
    errors: [first, second],
    message: 'Error: first; Error: second',
  })
})
