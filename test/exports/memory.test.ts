import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { freshStorage } from '../storage.ts'
import { countTables, serveBigFile } from './big-file.ts'

const script = fileURLToPath(new URL('./import-one-file.ts', import.meta.url))
// `npm run test:memory` uses the size of a large tenant; the default size is the smallest that still proves the limit.
const isLarge = process.env.npm_lifecycle_event === 'test:memory'
const { rows, oldSpaceMiB } = isLarge
  ? { rows: 400_000, oldSpaceMiB: 64 }
  : { rows: 30_000, oldSpaceMiB: 40 }

test(`a file of ${rows} rows is imported in ${oldSpaceMiB} MiB`, async () => {
  const [file, tables, ledger] = await Promise.all([
    serveBigFile(rows),
    countTables(),
    freshStorage(),
  ])
  onTestFinished(() => {
    file.close()
    tables.close()
  })
  const limits = [`--max-old-space-size=${oldSpaceMiB}`, '--max-semi-space-size=4']
  const link = `${file.origin}/container/the-only-one.json.gz?sig=none`

  const { stdout } = await promisify(execFile)(process.execPath, [
    ...limits,
    script,
    link,
    tables.connectionString,
    ledger,
  ])

  const report = JSON.parse(stdout)
  expect(report).toMatchObject({
    outcome: { state: 'done' },
    file: {
      state: 'imported',
      attempts: 1,
      parsed: rows,
      written: rows,
      duplicates: 0,
      rejected: 0,
      reason: null,
    },
  })
  expect([tables.rows(), tables.largest()]).toEqual([rows, 100])
  // Packed bytes are not on the heap: a whole file in memory would show here.
  expect(report.mostBufferedMiB).toBeLessThan(48)
  if (isLarge) console.log(stdout)
})
