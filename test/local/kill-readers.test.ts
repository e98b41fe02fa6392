import { randomInt } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { noFaults } from '../../local/simulator/faults.ts'
import { createFleet, type Fleet } from '../../local/simulator/fleet.ts'
import { createRandom } from '../../local/simulator/random.ts'
import { startSimulator } from '../../local/simulator/simulator.ts'
import { expectOneRunEach } from '../av-health/one-run.ts'
import { createFleetReaders } from './fleet-readers.ts'
import { ask, askNewestRun, askRun, endAll, freshFolder, launch, pause } from './launch.ts'

/** `npm run test:property` kills two runs in each phase, with several seeds. */
const isLong = process.env.MODE === 'property'
// Printed with every failure: it determines the moments of a run.
const seed = Number(process.env.KILL_SEED ?? randomInt(2 ** 31))
const seeds = isLong ? [0, 1, 2, 3].map((n) => seed + n) : [seed]
const days = isLong ? [1, 2] : [1]
const asking = isLong ? { readers: 4, pauseMs: 0 } : { readers: 2, pauseMs: 20 }

const DAY_MS = 86_400_000

/** A run is killed so long, at most, after it has left these states. */
const early = ['starting', 'listing']
const phases = [
  { before: early, mostMs: 500 },
  { before: [...early, 'importing'], mostMs: 150 },
  { before: [...early, 'importing'], mostMs: 600 },
]

afterAll(endAll)

const fleetOf = (day: number): Fleet => {
  const today = Math.floor(Date.now() / DAY_MS)
  const generatedTime = new Date((today - 3 + day) * DAY_MS).toISOString()
  return createFleet({ size: 300, files: 4, day, generatedTime })
}

const trends = ['mode', 'group'].map((by) => `av-health/trend?days=9&by=${by}`)

/** Every route of the fleet; lists are read page by page. */
const pathsOf = (ids: string[]) => [
  'devices?limit=100',
  'devices?limit=150&format=csv',
  'devices?condition=signature-stale&limit=10',
  'devices?condition=passive&sort=id&limit=10',
  'devices?name=be*&limit=10',
  'overview',
  'av-health/summary',
  'av-health/changes?limit=20',
  'av-health/changes?limit=50&format=csv',
  'av-health/snapshots?limit=1',
  ...trends,
  ...ids.flatMap((id) => [`devices/${id}`, `devices/${id}/history?limit=1`]),
]

test.each(seeds)(
  'a host killed while others ask (seed %i): each answer and each whole list is of one run, published once',
  async (own) => {
    const random = createRandom(own)
    const clock = createAdjustableClock()
    // Slow enough that files end one after the other.
    const faults = { ...noFaults, slowBytesPerSecond: 50_000 }
    const simulator = await startSimulator({ clock, fleet: fleetOf(0), faults })
    const folder = freshFolder()
    const start = () =>
      launch(['--data', folder, '--upstream', simulator.origin], 'start.ts', {
        AV_HEALTH_SCHEDULE: '0 0 0 1 1 *',
      })
    let app = start()
    await app.said('Serving')
    const readers = createFleetReaders(folder, () => app)
    const ids = [...fleetOf(0).truth()].map(({ machineId }) => machineId)
    const paths = pathsOf(ids.filter((_, n) => n % 60 === 0))
    /** A run is over before its numbers are those of its day. */
    const askSettled = async () => {
      for (;;) {
        const all = await readers.askAll(paths)
        const { fleet } = all.overview as { fleet: { snapshot: { runId: string } } }
        const last = trends.map((path) => (all[path] as { runId: string }[]).at(-1)?.runId)
        if (last.every((runId) => runId === fleet.snapshot.runId)) return all
      }
    }
    let before = await askSettled()

    for (const fleet of days.map(fleetOf)) {
      const stops = Array.from({ length: asking.readers }, (_, n) =>
        readers.begin(paths, 7 * n, asking.pauseMs),
      )
      simulator.setFleet(fleet)
      await ask(app, folder, 'av-health/exports', { method: 'POST', body: '{"force":true}' })
      for (const phase of phases.filter((_, n) => isLong || n === own % phases.length)) {
        while (phase.before.includes((await askNewestRun(app, folder))?.state ?? ''))
          await pause(10)
        await pause(random.int(phase.mostMs))
        app.child.kill('SIGKILL')
        await app.ended
        // The upstream lists five times a minute.
        clock.advance(61_000)
        app = start()
      }
      await app.said('Serving')
      const after = await askSettled()
      for (const stop of stops) {
        const seen = await stop()
        expectOneRunEach([...seen, after], before, after, { areAtOnce: false })
      }
      const { rows } = after[paths[0] ?? ''] as { rows: { machineId: string }[] }
      const truth = [...fleet.truth()].map(({ machineId }) => machineId)
      expect(rows.map(({ machineId }) => machineId).sort()).toEqual(truth.sort())
      before = after
    }
    const again = (await ask(app, folder, 'av-health/exports', { method: 'POST', body: '{}' })) as {
      runId: string
    }
    await expect.poll(async () => (await askRun(app, folder, again.runId)).state).toBe('unchanged')
    const { runs } = (await ask(app, folder, 'av-health/exports')) as { runs: { state: string }[] }
    const states = runs.map(({ state }) => state).filter((state) => state !== 'unchanged')
    expect(states).toEqual([0, ...days].map(() => 'published'))
    await simulator.stop()
  },
)
