import { createRandom } from './random.ts'

const mebibyte = 2 ** 20

/** The n-th line that no import can take; the kinds take turns. */
export function badLine(n: number, seed: number): string {
  const kind = kinds[n % kinds.length] ?? kinds[0]
  return kind(createRandom(seed, n, 5).int(10 ** 9))
}

/** A line above 1 MiB that would be good otherwise. */
export function oversizedLine(n: number): string {
  return withId(`${String(n).padStart(39, '0')}f`, 'x'.repeat(mebibyte))
}

const withId = (id: unknown, name: string) =>
  JSON.stringify({
    RbacGroupName: 'Unassigned',
    Timestamp: '2026-01-02 03:04:05',
    DeviceName: name,
    DeviceId: id,
  })

const kinds: [(n: number) => string, ...((n: number) => string)[]] = [
  (n) => `{"RbacGroupName":"Unassigned","DeviceName":"cut-${n}`,
  (n) => `this line ${n} is not JSON`,
  (n) => JSON.stringify({ DeviceName: `no-id-${n}`, OsPlatform: 'Windows11' }),
  (n) => withId(null, `null-id-${n}`),
  (n) => withId('', `empty-id-${n}`),
  (n) => withId(`${n}/../${n}`, 'slashes'),
  (n) => withId(`${n}#?`, 'forbidden in keys'),
  (n) => withId(`back\\slash-"${n}"`, 'quotes'),
  (n) => withId(String(n).padStart(129, '0'), 'too long an id'),
  () => '[]',
  (n) => withId(`control-\u0001-${n}`, 'control character'),
]
