import { startHost } from '../../../local/host/host.ts'
import { fixtureOptions } from './fixture-options.ts'
import { closeGate } from './witness.ts'

// A host in a separate process, for tests that kill it: activities that wait never end here.
const [storage = ''] = process.argv.slice(2)
closeGate('wait')
const host = await startHost({ ...fixtureOptions(storage), print: console.log })
console.log(`listening at ${host.url}`)
