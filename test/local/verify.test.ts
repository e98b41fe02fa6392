import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compareSnapshot } from '../../local/compare-snapshot.ts'
import { openDataFolder } from '../../local/data-folder.ts'
import type { ExpectedDevice } from '../../local/simulator/expected-device.ts'
import { createFleet } from '../../local/simulator/fleet.ts'
import { bucketFor } from '../../shared/exports/snapshot-table.ts'
import { createTables } from '../../shared/platform/azure-table.ts'
import type { Columns, Operation, Table } from '../../shared/platform/table.ts'
import { freshStorage } from '../storage.ts'
import { endAll, freshFolder, runToEnd } from './launch.ts'

afterAll(endAll)

describe('a snapshot compared with its fleet', () => {
  const BUCKETS = 4
  const truth = [...createFleet({ size: 12, files: 2, duplicates: 2 }).truth()]
  const [device] = truth
  if (!device) throw new Error('the fleet is empty')
  let tables: (name: string) => Table
  let names = 0

  /** The row of a device after a correct import. */
  function rowOf({ sources, ...fields }: ExpectedDevice): {
    partitionKey: string
    rowKey: string
    columns: Columns
  } {
    const [place] = sources
    const { other, ...columns } = fields
    return {
      partitionKey: bucketFor(fields.machineId, BUCKETS),
      rowKey: fields.machineId,
      columns: {
        ...(columns as Columns),
        ...(Object.keys(other).length > 0 ? { other: JSON.stringify(other) } : {}),
        file: place?.file ?? 0,
        line: place?.line ?? 0,
        firstFile: place?.file ?? 0,
        firstLine: place?.line ?? 0,
      },
    }
  }

  /** A table with the fleet; `change` changes the first device. */
  async function tableWith(
    change: (row: ReturnType<typeof rowOf>) => ReturnType<typeof rowOf>[] = (row) => [row],
  ) {
    const table = tables(`Snapshot${names++}`)
    await table.create()
    const rows = truth
      .map(rowOf)
      .flatMap((row) => (row.rowKey === device?.machineId ? change(row) : [row]))
    for (const row of rows) await table.transact([{ kind: 'insert', ...row } satisfies Operation])
    return table
  }

  beforeAll(async () => {
    tables = createTables({ connectionString: await freshStorage() })
  })

  test('is exactly the fleet when every device and every field is right', async () => {
    expect(await compareSnapshot(await tableWith(), BUCKETS, truth)).toEqual([])
  })

  type Row = ReturnType<typeof rowOf>
  test.each<[string, (row: Row) => Row[], string]>([
    ['a device is missing', () => [], 'is missing'],
    [
      'a device is one too many',
      (row) => [row, { ...row, rowKey: `${row.rowKey}0` }],
      'is not in the fleet of 12',
    ],
    [
      'a field differs',
      (row) => [{ ...row, columns: { ...row.columns, osPlatform: 'Amiga' } }],
      'osPlatform is "Amiga"',
    ],
    [
      'a flag has become a boolean',
      (row) => [{ ...row, columns: { ...row.columns, cloudProtectionState: true } }],
      'is true',
    ],
    [
      'a field is one too many',
      (row) => [{ ...row, columns: { ...row.columns, raw: '{}' } }],
      'raw is "{}"',
    ],
    ['a device lies in another bucket', (row) => [{ ...row, partitionKey: '~' }], 'is in bucket ~'],
    [
      'a device came from another line',
      (row) => [{ ...row, columns: { ...row.columns, line: 999 } }],
      'line 999 of',
    ],
    [
      'its first line is another',
      (row) => [{ ...row, columns: { ...row.columns, firstLine: 999 } }],
      'line 999 of',
    ],
  ])('%s: is reported', async (_what, change, difference) => {
    const differences = await compareSnapshot(await tableWith(change), BUCKETS, truth)

    expect(differences).toEqual([expect.stringContaining(difference)])
  })
})

describe('npm run verify', () => {
  test('says in one sentence that there is nothing to compare, and creates no folder', async () => {
    const folder = freshFolder()

    const unused = await runToEnd(['--data', `${folder}/unused`], 'verify.ts')

    expect(unused).toMatchObject({ code: 1, stdout: '' })
    expect(unused.stderr).toBe(
      `${folder}/unused holds no fleet: run "npm start -- --once" first.\n`,
    )
  })

  test('does not disturb a start that uses the folder', async () => {
    const dir = freshFolder()
    const folder = await openDataFolder(dir)
    folder.state.source = { kind: 'fleet', size: 5, generatedTime: '2026-11-21T03:04:00Z' }
    folder.save()

    const ended = await runToEnd(['--data', dir], 'verify.ts')

    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr.trim()).toMatch(
      new RegExp(`^Process ${process.pid} already runs on .*\\.$`),
    )
    folder.release()
  })

  test('shows its usage after a wrong option', async () => {
    const ended = await runToEnd(['--bogus'], 'verify.ts')

    expect(ended).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--bogus is unknown.'),
    })
  })
})
