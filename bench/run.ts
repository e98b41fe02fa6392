import { benchCompare } from './compare.ts'
import { benchDeliveries } from './deliveries.ts'
import { benchDelivery } from './delivery.ts'
import { benchFleet, benchLists } from './fleet.ts'
import { type Goal, tableOf, writeResults } from './goals.ts'
import { benchImport, benchMemory } from './import.ts'
import { benchLookup } from './lookup.ts'
import { benchParquet } from './parquet.ts'
import { benchReads } from './reads.ts'
import { benchSlowReceivers } from './slow-receivers.ts'

type Section = [name: string, bench: (quick: boolean) => Promise<Goal[]>]

/** Sections with goals for rates and CPU, of which each has the machine. */
const alone: Section[] = [
  ['reads', benchReads],
  ['lookup', benchLookup],
  ['deliveries', benchDeliveries],
  ['fleet', benchFleet],
  ['import', benchImport],
]
/** Sections whose goals are for counts and memory: two of them run at a time. */
const counting: Section[] = [
  ['memory', benchMemory],
  ['lists', benchLists],
  ['compare', benchCompare],
  ['parquet', benchParquet],
]
/** Benchmarks that print what they see. */
const others = {
  delivery: benchDelivery,
  'slow-receivers': benchSlowReceivers,
}

const names = process.argv.slice(2).filter((name) => name !== '--quick')
const quick = process.argv.includes('--quick')
const known = [...[...alone, ...counting].map(([name]) => name), ...Object.keys(others)]
if (names.some((name) => !known.includes(name))) {
  console.error(`Usage: npm run bench -- [--quick] [${known.join(' | ')}]`)
  process.exitCode = 2
} else await runSections()

async function runSections(): Promise<void> {
  const seconds: string[] = []
  async function timed(name: string, work: () => Promise<void>): Promise<void> {
    const startedMs = performance.now()
    await work()
    seconds.push(`${name} ${Math.round((performance.now() - startedMs) / 1000)} s`)
  }
  async function run(sections: Iterable<Section>): Promise<void> {
    for (const [name, bench] of sections) {
      if (names.length > 0 && !names.includes(name)) continue
      await timed(name, async () => {
        const goals = await bench(quick)
        writeResults(name, goals, quick)
        console.log(`${tableOf(goals)}\n`)
      })
    }
  }
  await timed('all', async () => {
    await run(alone)
    const left = counting.values()
    await Promise.all([run(left), run(left)])
    for (const [name, bench] of Object.entries(others)) if (names.includes(name)) await bench()
  })
  console.log(seconds.join(', '))
}
