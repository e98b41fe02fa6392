import { createAdjustableClock } from '../local/clock.ts'
import { startUpstreams } from './start-app.ts'

/** The simulated upstreams in a process of their own, with export files on disk. */
const files: string[] = JSON.parse(process.argv[2] ?? '[]')
const { origin, tenableKeys } = await startUpstreams(createAdjustableClock(), files)
process.send?.({ origin, tenableKeys })
process.on('disconnect', () => process.exit())
