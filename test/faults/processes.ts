import {
  ALL,
  argsFor,
  expectWhole,
  FILES,
  killAndCheck,
  type Moment,
  startUpstream,
} from '../local/killed-host.ts'
import { endAll, freshFolder, runToEnd } from '../local/launch.ts'

/** A real host that is killed at a request of its run, and started again. */
export interface ProcessCell {
  name: string
  moment: Moment
}

const at = (step: string, requests: number, afterMs = 0): ProcessCell => ({
  name: `host | ${step} | kill -9${afterMs > 0 ? ` ${afterMs} ms later` : ''}`,
  moment: { requests, afterMs },
})

export const processCells: ProcessCell[] = [
  at('start', 0, 400),
  at('POST token', 1),
  at('GET InfoGatheringExport', 2),
  at('GET InfoGatheringExport', 2, 40),
  ...Array.from({ length: FILES }, (_, n) => at(`GET blob ${n + 1}`, 3 + n)),
  at('publish-run', ALL, 60),
  at('publish-run', ALL, 200),
]

/** Kills the host, starts it again, and answers what came out; the error names what is not as it should be. */
export async function playProcess({ moment }: ProcessCell): Promise<string> {
  try {
    const upstream = await startUpstream()
    const folder = freshFolder()
    const done = await killAndCheck(upstream, folder, [moment])
    const last = await runToEnd(argsFor(upstream, folder))
    await expectWhole(upstream, folder, last, done)
    return 'published'
  } finally {
    await endAll()
  }
}
