import type { Cell } from './cells.ts'
import type { LoadedApp } from './instance.ts'
import { brokenPromises, brokenSnapshots } from './promises.ts'
import type { Subject } from './subjects.ts'
import { createWorld, type World } from './world.ts'

/** Plays a cell to its end: what came out, and the promises that are broken. */
export async function play(apps: [LoadedApp, LoadedApp], cell: Cell) {
  const { subject, fault } = cell
  const world = await createWorld(apps, subject.settings)
  try {
    await subject.prepare(world)
    world.network.steps.length = 0
    await fault.begin?.(world)
    const hits = hit(world, cell)
    await subject.work(world)
    world.network.interfere(undefined)
    await fault.end?.(world)
    // Another snapshot than a whole one is never shown, whatever happens.
    const meanwhile = (await brokenSnapshots(world)).filter((one) => !isUnderWay(one))
    await subject.goOn(world)
    const broken = [...meanwhile, ...(await brokenPromises(world))]
    if (hits.count === 0) broken.push('the step was never reached')
    return { outcome: await subject.outcome(world), broken, lines: world.lines }
  } finally {
    await world.stop()
  }
}

/** What the ledger may say while a run is in progress. */
const isUnderWay = (broken: string) =>
  /^(?:a run is still active|a link is left|a run has not ended|tables without a run|a run without a snapshot)/.test(
    broken,
  )

/** Lets the fault happen when its step is reached, and again as often as it lasts. */
function hit(world: World, { step, fault }: Cell) {
  const [, name = step, nth = '1'] = /^(.*?)(?: \((\d+)\))?$/.exec(step) ?? []
  const hits = { seen: 0, count: 0 }
  world.network.interfere((call) => {
    if (call.step !== name) return call.send()
    hits.seen += 1
    const isHit = hits.seen >= Number(nth) && hits.count < (fault.times ?? 1)
    if (!isHit) return call.send()
    hits.count += 1
    return fault.happen(world, call)
  })
  return hits
}

/** How often each step is seen in a subject's work without faults, in order. */
export async function countSteps(apps: [LoadedApp, LoadedApp], subject: Subject) {
  const world = await createWorld(apps, subject.settings)
  try {
    await subject.prepare(world)
    world.network.steps.length = 0
    await subject.work(world)
    const counts: Record<string, number> = {}
    for (const step of world.network.steps) counts[step] = (counts[step] ?? 0) + 1
    return counts
  } finally {
    await world.stop()
  }
}
