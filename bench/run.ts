import { benchDelivery } from './delivery.ts'
import { benchLookup } from './lookup.ts'
import { benchSlowReceivers } from './slow-receivers.ts'

const benches: Record<string, () => Promise<void>> = {
  delivery: benchDelivery,
  lookup: benchLookup,
  'slow-receivers': benchSlowReceivers,
}

const name = process.argv[2] ?? ''
const bench = benches[name]
const USAGE = `Usage: npm run bench -- ${Object.keys(benches).join(' | ')}`
if (bench) await bench()
else if (/^(?:-h|--help)$/.test(name)) console.log(USAGE)
else {
  console.error(USAGE)
  process.exitCode = 2
}
