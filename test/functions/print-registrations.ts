import { pathToFileURL } from 'node:url'
import { collectRegistrations, installContract } from '../../local/host/contract.ts'

// Loads the trigger list named on the command line as the platform does, and prints what it registers.
installContract()
const registrations = await collectRegistrations(
  () => import(pathToFileURL(process.argv[2] ?? '').href),
)
console.log(JSON.stringify(registrations.map(({ metadata }) => metadata)))
