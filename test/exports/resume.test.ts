import { expect, test } from 'vitest'
import { startRun } from '../../shared/exports/start-run.ts'
import {
  createListeningExecutor,
  createMemoryTables,
  createSmallEngine,
  createSmallUpstream,
  drive,
  smallExport,
  type Tables,
} from './small-run.ts'
import { watched } from './watched-tables.ts'

test('x', async () => {
  const { tables, names } = createMemoryTables()
  await tables('Exports').create()
  const up = createSmallUpstream()
  const requests: string[] = []
  const lines: string[] = []
  const engine = createSmallEngine(watched(tables, { before: (r) => void requests.push(r) }), up, { lines })
  const ex = createListeningExecutor()
  const s = await startRun(engine, ex.executor)
  await drive(engine, ex.started[0]!)
  console.log(requests.map((r, i) => `${i} ${r}`).join('\n'), lines, await names(), await engine.runs.current())
})
