import { benchCompare } from './compare.ts'
import { benchDeliveries } from './deliveries.ts'
import { benchDelivery } from './delivery.ts'
import { benchFleet } from './fleet.ts'
import { tableOf, writeResults } from './goals.ts'
import { benchImport } from './import.ts'
import { benchLists } from './lists.ts'
import { benchLookup } from './lookup.ts'
import { benchParquet } from './parquet.ts'
import { benchReads } from './reads.ts'
import { benchSlowReceivers } from './slow-receivers.ts'

/** Benchmarks with goals, whose results are written down. */
const measured = {
  reads: benchReads,
  lookup: benchLookup,
  deliveries: benchDeliveries,
  fleet: benchFleet,
  lists: benchLists,
  compare: benchCompare,
  parquet: benchParquet,
  import: benchImport,
}
/** Benchmarks that print what they see. */
const others = {
  delivery: benchDelivery,
  'slow-receivers': benchSlowReceivers,
}

const names = process.argv.slice(2).filter((name) => name !== '--quick')
const quick = process.argv.includes('--quick')
const unknown = names.filter((name) => !(name in measured) && !(name in others))
if (unknown.length > 0) {
  console.error(
    `Usage: npm run bench -- [--quick] [${Object.keys({ ...measured, ...others }).join(' | ')}]`,
  )
  process.exitCode = 2
} else {
  for (const [name, bench] of Object.entries(measured)) {
    if (names.length > 0 && !names.includes(name)) continue
    const goals = await bench(quick)
    writeResults(name, goals, quick)
    console.log(`${tableOf(goals)}\n`)
  }
  for (const [name, bench] of Object.entries(others)) if (names.includes(name)) await bench()
}
