import { expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createScanCache } from '../../shared/scan-history/cache.ts'
import { type Scan, type Target, toScan } from '../../shared/scan-history/source.ts'
import { interceptTable } from '../intercepted-storage.ts'
import { createMemoryTable } from '../memory-table.ts'

const DAY_MS = 86_400_000

const target = (hostname: string | null, state: Target['state'] = 'completed'): Target => ({
  ...{ ip: '10.0.0.1', hostname, description: null, state, error: null },
  ...{ durationSeconds: null, severities: null },
})

async function open() {
  const memory = createMemoryTable('ScanCache')
  await memory.create()
  const requests: string[] = []
  const table = interceptTable(memory, { before: (request) => void requests.push(request) })
  const clock = createAdjustableClock()
  const cache = createScanCache(table, clock)
  const put = (id: string, targets: Target[] | null, more: Partial<Scan> = {}) => {
    const answer = toScan('tenable', id, { state: 'completed', targets, ...more })
    const key = { kind: 'tenable-scan', id, part: more.run?.id ?? 'latest' }
    return cache.put(key, { answer, raw: {}, tag: id, final: true }, 30 * DAY_MS)
  }
  const idsFor = async (name: string) =>
    (await cache.knownScans(name)).scans.map(({ id, hostname }) => [id, hostname])
  return { table: memory, clock, cache, put, idsFor, requests }
}

test('scans that were looked up are found by a host that they name, in any case, with or without its domain', async () => {
  const { put, cache, idsFor } = await open()
  await put('1', [target('PC-1.contoso.com', 'failed'), target('pc-2')], {
    run: { id: 'r1', number: 3 },
    endedAt: '2026-11-01T00:00:00Z',
    name: '=weekly',
  })
  await put('2', [target('pc-1'), target(null), target('10.0.0.1')], {
    endedAt: '2026-11-02T00:00:00Z',
  })
  await put('3', [target('pc-1.fabrikam.com')])
  await put('4', null)

  expect(await idsFor('pc-1.contoso.com')).toEqual([
    ['2', 'pc-1'],
    ['1', 'PC-1.contoso.com'],
  ])
  expect((await idsFor('pc-1')).length).toBe(3)
  expect(await idsFor('pc-3')).toEqual([])
  expect(await idsFor('10')).toEqual([])
  const { complete, scans } = await cache.knownScans('pc-2.contoso.com')
  expect({ complete, scans }).toEqual({
    complete: false,
    scans: [
      {
        ...{ source: 'tenable', id: '1', run: { id: 'r1', number: 3 }, name: '=weekly' },
        ...{ state: 'completed', startedAt: null, endedAt: '2026-11-01T00:00:00Z' },
        ...{ hostname: 'pc-2', hostState: 'completed', lookedUpAt: expect.any(String) },
      },
    ],
  })
})

test('a scan that is looked up again is known once, for 90 days after the last time', async () => {
  const { put, clock, cache, idsFor, table } = await open()
  await put('1', [target('pc-1')])
  clock.advance(80 * DAY_MS)
  await put('1', [target('pc-1')])
  clock.advance(80 * DAY_MS)
  const within = await idsFor('pc-1')
  await cache.sweep()
  const after = await idsFor('pc-1')
  clock.advance(11 * DAY_MS)
  await cache.sweep()

  expect([within, after, await idsFor('pc-1')]).toEqual([[['1', 'pc-1']], [['1', 'pc-1']], []])
  expect(await Array.fromAsync(table.list({}))).toEqual([])
})

test('a scan of 2,000 hosts takes at most 16 more writes, and is found by one read', async () => {
  const { put, idsFor, requests } = await open()
  await put(
    '1',
    Array.from({ length: 2000 }, (_, n) => target(`pc-${n}.contoso.com`)),
  )
  const writes = requests.length
  requests.length = 0

  expect(await idsFor('pc-1999.contoso.com')).toHaveLength(1)
  expect(writes).toBeLessThanOrEqual(2 + 16)
  expect(requests).toHaveLength(1)
})
