import { expect } from 'vitest'

/**
 * Every answer is that of one run, and none is of an older run than one before it. Of answers at one moment none is ahead
 * of the pointer.
 */
export function expectOneRunEach(
  seen: Record<string, unknown>[],
  before: Record<string, unknown>,
  after: Record<string, unknown>,
  { areAtOnce = true } = {},
) {
  const at = new Map<string, number>()
  const pointer = 'av-health/summary'
  for (const [n, all] of seen.entries())
    for (const [path, answer] of Object.entries(all)) {
      const isOf = [before, after].map((one) => isSame(answer, one[path]))
      expect(isOf, `${path} at ${n}: ${JSON.stringify(answer)}`).toContain(true)
      if (areAtOnce && isSame(all[pointer], before[pointer]))
        expect(isOf[0], `${path} is ahead at ${n}`).toBe(true)
      if (isOf[0]) expect(at.get(path) ?? 0, `${path} goes back at ${n}`).toBe(0)
      else at.set(path, 1)
    }
}

export const isSame = (one: unknown, other: unknown) =>
  JSON.stringify(one) === JSON.stringify(other)
