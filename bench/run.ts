import { benchDelivery } from './delivery.ts'
import { benchLookup } from './lookup.ts'

const benches: Record<string, () => Promise<void>> = {
  delivery: benchDelivery,
  lookup: benchLookup,
}

const name = process.argv[2] ?? ''
const bench = benches[name]
if (bench) await bench()
else {
  console.error(`Usage: npm run bench -- ${Object.keys(benches).join(' | ')}`)
  process.exitCode = 2
}
