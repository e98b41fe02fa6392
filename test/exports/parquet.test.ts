import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { columns } from '../../shared/av-health/fields.ts'
import { findUnwritten, parquetRow, writeParquet } from '../../shared/exports/parquet.ts'
import { type Blobs, createBlobs } from '../../shared/platform/blobs.ts'
import { openParquet } from '../../shared/platform/parquet.ts'
import { createRecords } from '../../shared/platform/table-record.ts'
import { readText } from '../bicep/template-texts.ts'
import { openContainer } from '../blob-container.ts'
import { copyContainer, openDuckDb } from '../duckdb.ts'
import { noTimers, startTestStack } from '../stack.ts'
import { freshStorage } from '../storage.ts'
import { createComparedFleet, type Device } from './compared-fleet.ts'

const HOUR_MS = 3_600_000
const last = { isLast: true }

let duck: Awaited<ReturnType<typeof openDuckDb>>
const folders: string[] = []
beforeAll(async () => {
  duck = await openDuckDb()
})
afterAll(() => {
  duck.close()
  for (const folder of folders) rmSync(folder, { recursive: true })
})

/** A compared fleet whose files go to an account of the emulator. */
async function prepare() {
  const fleet = await createComparedFleet()
  const connectionString = await freshStorage()
  const blobs = createBlobs({ connectionString }, 'av-health', { clock: fleet.clock })
  const container = openContainer(connectionString, 'av-health')
  const json = async (name: string) => {
    const bytes = await container.bytes(name)
    return bytes && JSON.parse(new TextDecoder().decode(bytes))
  }
  /** What a reader that follows `current.json` finds. */
  async function read() {
    const current = await json('current.json')
    const manifest = current && (await json(current.manifest))
    if (!manifest) return undefined
    const folder = await copyContainer(container)
    folders.push(folder)
    const paths = manifest.files.map(({ path }: { path: string }) => `'${folder}/${path}'`)
    const rows = await duck.ask(
      `select * from read_parquet([${paths}], hive_partitioning = false) order by "machineId"`,
    )
    return { current, manifest, rows }
  }
  return { ...fleet, blobs, container, read }
}

/** The same container whose n-th request and all later ones fail, before or after they are done. */
function breakAt(blobs: Blobs, request: number, isDone: boolean): Blobs & { requests(): number } {
  let requests = 0
  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    requests += 1
    if (requests < request) return work()
    if (requests === request && isDone) await work()
    throw new Error('the connection broke')
  }
  return {
    requests: () => requests,
    create: () => ask(blobs.create),
    put: (...args) => ask(() => blobs.put(...args)),
    read: (...args) => ask(() => blobs.read(...args)),
  }
}

const hostile = [
  '"quoted", with a comma',
  "o'brien'; drop table devices;--",
  'line\r\nbreak\tand tab',
  "=cmd|' /C calc'!A0",
  '@SUM(1+1)*cmd',
  '\u202egnp.exe\u202c \u200f\u061c mark',
  '東京-🛡️-عربى',
  `${'long-'.repeat(204)}name`,
  'null',
]
const ids = [...'0123456789abcdef']
const base: Device[] = ids.slice(0, 12).map((id) => ({ id }))

describe('the Parquet files of a snapshot', () => {
  test('hold every device with typed columns, as DuckDB reads them; hostile names come out as they went in', async () => {
    const { publish, engine, blobs, read, container } = await prepare()
    const devices = hostile.map((DeviceName, index) => ({
      id: ids[index] ?? '',
      DeviceName,
      AvIsSignatureUpToDate: ['True', 'False', 'Unknown'][index % 3],
      LastSeenTime: `2026-11-29T05:00:0${index}.123456${index}Z`,
      RbacGroupId: index,
    }))
    const other: Device = { id: 'zz-not.hex_7', AvSignaturePublishTime: '0001-01-01T00:00:00Z' }
    const runId = await publish([devices, [other]])

    const outcome = await writeParquet(engine(), blobs, { runId, ...last })

    const { current, manifest, rows } = (await read()) ?? {}
    expect(outcome).toEqual({ state: 'done' })
    expect(await container.names()).toEqual([
      'current.json',
      ...['manifest.json', 'part=00.parquet', 'part=~.parquet'].map(
        (name) => `run=${runId}/${name}`,
      ),
    ])
    expect(current).toMatchObject({ version: 1, runId, devices: 10 })
    expect(manifest.files.map(({ devices }: { devices: number }) => devices)).toEqual([9, 1])
    expect(rows?.map(({ computerDnsName }) => computerDnsName)).toEqual([
      ...hostile,
      'pc-zz-not.hex_7',
    ])
    expect(rows?.[1]).toMatchObject({
      machineId: '1'.repeat(40),
      avIsSignatureUpToDate: false,
      avIsEngineUpToDate: true,
      lastSeenTime: '2026-11-29 05:00:01.123456+00',
      rbacGroupId: '1',
      avModeName: 'active',
      fullScanResult: null,
    })
    expect(rows?.[2]).toMatchObject({ avIsSignatureUpToDate: null })
    expect(Object.keys(rows?.[0] ?? {})).toEqual(
      manifest.columns.map(({ name }: { name: string }) => name),
    )
  })

  test('have row groups of at most 5,000, each closed early when its texts are long', async () => {
    const fields = [
      { name: 'id', type: 'text' },
      { name: 'other', type: 'text' },
    ]
    const groups = async (rows: number, other: string) => {
      const file = await openParquet(fields)
      for (let n = 0; n < rows; n++) file.add({ id: String(n), other })
      const path = join(mkdtempSync(join(tmpdir(), 'defender-relay-parquet-')), 'file.parquet')
      folders.push(dirname(path))
      writeFileSync(path, file.finish())
      const found = await duck.ask(
        `select distinct row_group_id, row_group_num_rows n from parquet_metadata('${path}') order by 1`,
      )
      return found.map(({ n }) => Number(n))
    }

    expect(await groups(10_001, 'a')).toEqual([5000, 5000, 1])
    expect(Math.max(...(await groups(300, 'x'.repeat(30_000))))).toBeLessThan(140)
  })

  test('are the former or the new ones at every moment, wherever the writing breaks off, and whole in the end', async () => {
    const { publish, engine, blobs, read } = await prepare()
    const first = await publish([base])
    await writeParquet(engine(), blobs, { runId: first, ...last })
    for (let request = 1, isOver = false; !isOver; request++) {
      for (const isDone of [false, true]) {
        const before = (await read())?.current.runId
        const runId = await publish([base.slice(request % 2)])
        const broken = breakAt(blobs, request, isDone)

        const outcome = await writeParquet(engine(), broken, { runId, isLast: false })
        const between = await read()
        isOver = broken.requests() < request
        const resumed = await writeParquet(engine(), blobs, { runId, ...last })
        const after = await read()

        expect(outcome).toEqual(isOver ? { state: 'done' } : { state: 'later', seconds: 60 })
        expect([before, runId]).toContain(between?.current.runId)
        expect(between?.rows).toHaveLength(between?.current.devices)
        expect(resumed).toEqual({ state: 'done' })
        expect(after?.current).toMatchObject({ runId, devices: base.length - (request % 2) })
        expect(after?.rows).toHaveLength(after?.current.devices)
        expect(await findUnwritten(engine())).toBeUndefined()
      }
    }
  })

  test.each(['part=00', 'manifest', 'current'])(
    'of two runs are never mixed when the newer one is published and written before %s of the older one',
    async (file) => {
      const { publish, engine, blobs, read, container } = await prepare()
      const first = await publish([base])
      let second = ''
      let meanwhile: unknown
      const slow: Blobs = {
        ...blobs,
        async put(path, ...args) {
          if (second === '' && path.includes(file)) {
            // It takes an hour: the lease of the older one ends.
            second = await publish([base.slice(1)])
            meanwhile = await writeParquet(engine(), blobs, { runId: second, ...last })
          }
          return blobs.put(path, ...args)
        },
      }

      const older = await writeParquet(engine(), slow, { runId: first, isLast: false })
      const again = await writeParquet(engine(), blobs, { runId: first, ...last })

      expect([older, meanwhile, again]).toEqual(Array(3).fill({ state: 'done' }))
      expect(await read()).toMatchObject({ current: { runId: second, devices: base.length - 1 } })
      const isStopped = !(await container.names()).includes(`run=${first}/manifest.json`)
      expect(isStopped).toBe(file === 'part=00')
      expect(await findUnwritten(engine())).toBeUndefined()
    },
  )

  test('are not written by a second call while the first one works', async () => {
    const { publish, engine, blobs } = await prepare()
    const runId = await publish([base])
    let meanwhile: unknown
    const slow: Blobs = {
      ...blobs,
      async put(...args) {
        meanwhile ??= await writeParquet(engine(), blobs, { runId, ...last })
        return blobs.put(...args)
      },
    }

    expect(await writeParquet(engine(), slow, { runId, ...last })).toEqual({ state: 'done' })
    expect(meanwhile).toEqual({ state: 'later', seconds: expect.any(Number) })
  })

  test('are written on by a further call when one has used its time', async () => {
    const { publish, engine, blobs, read, clock } = await prepare()
    const runId = await publish([[...base, { id: 'zz-not.hex_7' }]])
    const slow: Blobs = {
      ...blobs,
      async put(...args) {
        clock.advance(130_000)
        return blobs.put(...args)
      },
    }

    const outcomes = []
    for (let calls = 0; calls < 3; calls++)
      outcomes.push(await writeParquet(engine(), slow, { runId, ...last }))

    expect(outcomes.map(({ state }) => state)).toEqual(['more', 'more', 'done'])
    expect((await read())?.rows).toHaveLength(base.length + 1)
  })
})

describe('files that can not be written', () => {
  test('are a problem and nothing else: the run stays published, and the next one writes its own', async () => {
    const { publish, engine, blobs, clock } = await prepare()
    const first = await publish([base])
    await writeParquet(engine(), blobs, { runId: first, ...last })
    const second = await publish([base])
    const broken = breakAt(blobs, 1, false)

    const early = await writeParquet(engine(), broken, { runId: second, isLast: false })
    const notYet = await findUnwritten(engine())
    const outcome = await writeParquet(engine(), broken, { runId: second, ...last })

    expect([early, notYet, outcome]).toEqual([
      { state: 'later', seconds: 60 },
      undefined,
      { state: 'done' },
    ])
    expect(await findUnwritten(engine())).toEqual({
      runId: second,
      since: expect.any(String),
      reason: 'the connection broke',
      shown: first,
    })
    expect(await engine().runs.run(second)).toMatchObject({ state: 'published' })
    const third = await publish([base])
    clock.advance(HOUR_MS + 1)
    expect(await findUnwritten(engine())).toMatchObject({ runId: third, shown: first })
    await writeParquet(engine(), blobs, { runId: third, ...last })
    expect(await findUnwritten(engine())).toBeUndefined()
  })

  test('say what the blob service answered, without the address', async () => {
    const { publish, engine, clock } = await prepare()
    const connectionString = (await freshStorage()).replace(
      /AccountKey=[^;]+/,
      'AccountKey=d3Jvbmc=',
    )
    const blobs = createBlobs({ connectionString }, 'av-health', { clock })
    const runId = await publish([base])

    await writeParquet(engine(), blobs, { runId, ...last })

    expect(await findUnwritten(engine())).toMatchObject({
      reason: expect.stringMatching(/^the blob service answered 403 \(\w+\)$/),
    })
  })
})

test('a run on the host writes its snapshot when another one has ended its work, and DuckDB finds every value of the fleet', async () => {
  const stack = await startTestStack({
    fleet: { size: 300, files: 3 },
    env: { ...noTimers, AV_HEALTH_PARQUET: 'true' },
  })
  onTestFinished(() => stack.stop())
  const table = (await stack.engine()).table('Exports')
  const key = { partitionKey: 'av-health', rowKey: 'parquet' }
  const at = new Date(stack.clock.now().getTime() + 60_000).toISOString()
  const other = { runId: '20200101000000aaaa', state: 'writing' as const, reason: null, at }
  const held = { ...other, writingUntil: at, slices: 1, files: [], shown: null }
  await table.transact([createRecords(table, parquetRow).overwrite(key, held)])

  const { body } = await stack.post('av-health/exports')
  const run = await stack.runToEnd(body.runId)
  const container = openContainer(stack.storage, 'av-health')
  while (!(await container.names()).includes('current.json')) {
    stack.clock.advance(10_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }

  const folder = await copyContainer(container)
  folders.push(folder)
  const [, block = ''] = /^```sql\n([\s\S]*?)^```$/m.exec(readText('docs/data.md')) ?? []
  const statements = block
    .replaceAll('av-health/run=RUN', `${folder}/run=${run.runId}`)
    .replaceAll('now()', `timestamptz '${run.generatedTime}'`)
    .split(';\n')
    .filter((statement) => statement.trim() !== '')
  const answers: Record<string, unknown>[][] = []
  for (const statement of statements) answers.push(await duck.ask(statement))
  expect(statements.length).toBeGreaterThan(7)
  expect(answers[1]).toEqual([{ devices: '300' }])
  const passive = await stack.get('devices?condition=passive&limit=1000')
  expect(answers[4]).toEqual([{ passive: String(passive.body.devices.length) }])

  const times = columns.filter(({ type }) => type === 'time').map(({ name }) => name)
  const replaced = times.map((name) => `epoch_us("${name}") as "${name}"`)
  const rows = await duck.ask(`select * replace (${replaced}) from devices order by "machineId"`)
  const micros = (time: string) => {
    const [seconds = '', fraction = ''] = time.replace('Z', '').split('.')
    return String(Date.parse(`${seconds}Z`) / 1000) + fraction.slice(0, 6).padEnd(6, '0')
  }
  const expected = [...stack.fleet.truth()]
    .sort((one, two) => (one.machineId < two.machineId ? -1 : 1))
    .map(({ machineId, sources: _sources, ...device }) => {
      const values = columns.map(({ name, type }) => {
        const value = (device as Record<string, unknown>)[name] ?? null
        if (name === 'other') return [name, JSON.parse(JSON.stringify(value))]
        if (value === null) return [name, null]
        if (type === 'time') return [name, micros(String(value))]
        if (type === 'flag') return [name, value === 'unknown' ? null : value === 'true']
        return [name, String(value)]
      })
      return { machineId, ...Object.fromEntries(values) }
    })
  const found = rows.map(({ other, ...row }) => ({
    ...row,
    other: JSON.parse(String(other ?? '{}')),
  }))
  expect(found).toEqual(expected)
})
