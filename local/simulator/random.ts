/** A repeatable stream of choices: the same seed gives the same choices in the same order. */
export interface Random {
  /** A fraction in [0, 1). */
  next(): number
  /** A whole number in [0, below). */
  int(below: number): number
  /** True with probability `chance`. */
  chance(chance: number): boolean
  pick<T>(list: readonly [T, ...T[]]): T
}

/** Mixes one 32-bit number into another; for a fixed `salt` no two values collide. */
export function scramble(value: number, salt: number): number {
  let mixed = (value ^ Math.imul(salt, 0x9e3779b1)) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Makes the stream of choices that belongs to these numbers. */
export function createRandom(...seeds: number[]): Random {
  let state = seeds.reduce((mixed, seed, place) => scramble(mixed ^ seed, place + 1), 0x2545f491)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (below: number) => Math.floor(next() * below)
  return {
    next,
    int,
    chance: (chance) => next() < chance,
    pick: (list) => list[int(list.length)] ?? list[0],
  }
}

/** A text that looks like a GUID and is the same for the same numbers. */
export function guid(...seeds: number[]): string {
  const hex = hexText(32, ...seeds)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
}

/** `length` hexadecimal digits that are the same for the same numbers. */
export function hexText(length: number, ...seeds: number[]): string {
  const random = createRandom(...seeds)
  let text = ''
  while (text.length < length)
    text += random
      .int(2 ** 32)
      .toString(16)
      .padStart(8, '0')
  return text.slice(0, length)
}
