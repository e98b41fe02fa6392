import fc from 'fast-check'
import { interleavings, play } from './events/delivery/interleavings.ts'

const numRuns = Number(process.argv[2] ?? 5000)

/** Plays many orders of dispatch, wake-up, lease, crash and release: `npm run test:interleavings`. */
const property = fc.asyncProperty(interleavings, async (interleaving) => {
  const broken = await play(interleaving)
  if (broken.length > 0) throw new Error(broken.join('; '))
})

await fc.assert(property, { numRuns })
console.log(`${numRuns} orders, and no promise is broken`)
process.exit(0)
