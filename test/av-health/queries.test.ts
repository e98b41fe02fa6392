import { expect, test } from 'vitest'
import { createHistory } from '../../shared/av-health/history.ts'
import { createQueries } from '../../shared/av-health/queries.ts'
import { createComparedFleet, type Device } from '../exports/compared-fleet.ts'
import { interceptTables } from '../intercepted-storage.ts'

const id = (n: number) => n.toString(16).padStart(2, '0').repeat(20)

/** A fleet with a device in each part, all with old signatures, of which the later ones are worse. */
const fleet = (more: (n: number) => Partial<Device> = () => ({})): Device[] =>
  Array.from({ length: 256 }, (_, n) => ({
    id: id(n),
    DeviceName: `host-${n % 100}`,
    AvIsSignatureUpToDate: 'False',
    AvSignatureUpdateTime: new Date(Date.UTC(2020, 0, 400 - n)).toISOString(),
    ...more(n),
  }))

async function open(buckets = 16) {
  const world = await createComparedFleet()
  const requests: string[] = []
  const tables = interceptTables(world.storage.tables, {
    before: (request) => void requests.push(request),
  })
  const engine = world.engine({ tables })
  const publish = (files: Device[][]) => world.publish(files, { buckets })
  return {
    ...world,
    publish,
    requests,
    queries: createQueries(engine),
    history: createHistory(engine),
  }
}

test('the first page by condition or by name takes at most four requests, and one device ten', async () => {
  const { publish, queries, requests } = await open()
  await publish([fleet()])
  await publish([fleet((n) => ({ RbacGroupName: n === 7 ? 'Moved' : 'Clients' }))])
  const count = async <T>(work: () => Promise<T>) => {
    requests.length = 0
    const answer = await work()
    return { answer, requests: requests.length }
  }

  const stale = await count(() => queries.list({ condition: 'signature-stale' }, 100))
  const named = await count(() => queries.list({ name: 'HOST-42' }, 100))
  const one = await count(() => queries.show(id(7)))

  expect(stale.answer.devices).toHaveLength(100)
  // The worst is the one with the oldest signatures.
  expect(stale.answer.devices[0]?.machineId).toBe(id(255))
  expect(stale.requests).toBeLessThanOrEqual(4)
  // Three devices have this name.
  expect(named.answer.devices.map(({ computerDnsName }) => computerDnsName)).toEqual(
    Array.from({ length: 3 }, () => 'host-42'),
  )
  expect(named.requests).toBeLessThanOrEqual(2 + 3)
  expect(one.answer.avHealth.lastChanges).toMatchObject([{ kind: 'group-moved' }])
  // With the three of its standing.
  expect(one.requests).toBeLessThanOrEqual(10 - 3)
})

test('a filter without an index ends a page after 20 requests, and the list goes on to its end', async () => {
  const { publish, queries, requests } = await open(256)
  await publish([fleet((n) => ({ RbacGroupName: n === 255 ? 'Last' : 'Clients' }))])
  const pages: number[] = []
  const found: string[] = []
  let after: Awaited<ReturnType<typeof queries.list>>['next'] | undefined
  do {
    requests.length = 0
    const page = await queries.list({ group: 'last' }, 100, 'id', after ?? undefined)
    pages.push(requests.filter((request) => request.startsWith('page')).length)
    found.push(...page.devices.map(({ machineId }) => machineId))
    after = page.next
  } while (after)

  expect(found).toEqual([id(255)])
  expect(Math.max(...pages)).toBe(20)
  expect(pages).toHaveLength(13)
})

test('a fleet in the last of 256 partitions is found behind all empty ones', async () => {
  const { publish, queries } = await open(256)
  await publish([[{ id: id(255) }]])
  const found: string[] = []
  let after: Awaited<ReturnType<typeof queries.list>>['next'] | undefined
  do {
    const page = await queries.list({}, 100, 'id', after ?? undefined)
    found.push(...page.devices.map(({ machineId }) => machineId))
    after = page.next
  } while (after)

  expect(found).toEqual([id(255)])
})

test('a name that a device had before finds nothing, and its new name finds it', async () => {
  const { publish, queries } = await open()
  await publish([fleet()])
  await publish([fleet((n) => (n === 5 ? { DeviceName: 'renamed|%/#"=x' } : {}))])
  const idsBy = async (name: string) =>
    (await queries.list({ name }, 100)).devices.map(({ machineId }) => machineId)

  expect(await idsBy('host-5')).not.toContain(id(5))
  expect(await idsBy('renamed|%/#"=x')).toEqual([id(5)])
  expect(await idsBy('RENAMED|%*')).toEqual([id(5)])
})

test('nothing of a run that is not published is seen', async () => {
  const { publish, begin, queries, history } = await open()
  await publish([fleet()])
  const before = await queries.show(id(5))
  await begin([fleet(() => ({ DeviceName: 'other', AvMode: '1' }))])

  expect(await queries.show(id(5))).toEqual(before)
  expect((await queries.list({ condition: 'passive' }, 10)).devices).toEqual([])
  expect((await queries.list({ name: 'other' }, 10)).devices).toEqual([])
  expect((await history.listChanges({}, 10)).changes).toEqual([])
})
