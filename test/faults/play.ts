import type { Cell } from './cells.ts'
import { openEmulator } from './emulator.ts'
import type { LoadedApp } from './instance.ts'
import { brokenCurrent, brokenPromises } from './promises.ts'
import type { Subject } from './subjects.ts'
import { createWorld, type World } from './world.ts'

/** Plays a cell to its end: what came out, and the promises that are broken. */
export async function play(apps: [LoadedApp, LoadedApp], cell: Cell) {
  const { subject, fault } = cell
  const open = cell.onEmulator ? await openEmulator() : undefined
  const world = await createWorld(apps, subject.settings, open)
  try {
    await subject.prepare(world)
    await fault.begin?.(world)
    const hits = hit(world, cell)
    await subject.work(world)
    world.network.interfere(undefined)
    await fault.end?.(world)
    const meanwhile = await brokenCurrent(world)
    await subject.goOn(world)
    const broken = [...meanwhile, ...(await brokenPromises(world))]
    if (hits.count === 0 && !fault.isUnseen) broken.push('the step was never reached')
    const outcome = await subject.outcome(world)
    const { ends = 'published' } = fault
    if (outcome.includes('without changes') && !fault.isLong) broken.push('the changes are lost')
    const isOther = /^(?:published|failed)/.test(outcome) && !outcome.startsWith(ends)
    if (ends !== 'either' && isOther) broken.push(`the run has not ${ends}: ${outcome}`)
    return { outcome, broken, lines: world.lines }
  } finally {
    await world.stop()
  }
}

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
    return fault.happen(world, call, hits.count)
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
