import { randomInt } from 'node:crypto'
import { afterAll, test } from 'vitest'
import { createRandom } from '../../local/simulator/random.ts'
import {
  argsFor,
  expectWhole,
  FILES,
  killAndCheck,
  type Moment,
  startUpstream,
} from './killed-host.ts'
import { endAll, freshFolder, runToEnd } from './launch.ts'

// Printed with every failure: it determines the moments of a run.
const seed = Number(process.env.KILL_SEED ?? randomInt(2 ** 31))

const random = createRandom(seed)
const moment = (requests: number, mostMs: number): Moment => ({
  requests,
  afterMs: random.int(mostMs),
})

afterAll(endAll)

// `npm run faults` kills at each request of a run.
test(`a host killed (seed ${seed}) while it lists, while it imports and anywhere: the same run ends as if nothing had been`, async () => {
  const upstream = await startUpstream()
  const folder = freshFolder()

  const done = await killAndCheck(upstream, folder, [
    moment(1, 60),
    moment(4 + random.int(FILES - 3), 200),
    moment(random.int(4), 1500),
  ])
  const last = await runToEnd(argsFor(upstream, folder))

  await expectWhole(upstream, folder, last, done)
})
