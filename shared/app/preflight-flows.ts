import type { App } from '../app.ts'
import type { DefenderFamily } from '../upstreams/defender-call.ts'
import { flowGrants, type GrantedFlow } from './grants.ts'
import { type Problem, upstreamProblems } from './problems.ts'

/** Which routes of Defender each flow asks; null where it asks none. */
export const familyOf: Record<GrantedFlow, DefenderFamily | null> = {
  'machine-actions': 'machine-actions',
  investigations: 'investigations',
  'av-health-files': 'export',
  'av-health-pages': 'deviceavinfo',
  'defender-scans': 'authenticated-scans',
  'tenable-scans': null,
}

/** The method of the export under which a flow has nothing to do. */
const unusedWith: Partial<Record<GrantedFlow, string>> = {
  'av-health-files': 'json',
  'av-health-pages': 'files',
}

/** Whether nobody has set a flow up to run. */
export const isUnused = ({ env, isTenableOff }: App, flow: GrantedFlow): boolean =>
  flow === 'tenable-scans'
    ? isTenableOff
    : env.AV_HEALTH_METHOD?.trim() === (unusedWith[flow] ?? null)

/** What Defender did to the flows of each section when they last asked it: one that is refused stops no other. */
export async function flowProblems(
  app: App,
): Promise<Record<'changes' | 'scanHistory' | 'avHealth', Problem[]>> {
  const { watches } = await app.defender()
  const problemsOf = async (...flows: GrantedFlow[]) => {
    const problems = flows.map(async (flow) => {
      const family = familyOf[flow]
      if (family === null || isUnused(app, flow)) return []
      return upstreamProblems('Defender', await watches[family].report(), flowGrants[flow].title)
    })
    return (await Promise.all(problems)).flat()
  }
  const [changes, scanHistory, avHealth] = await Promise.all([
    problemsOf('machine-actions', 'investigations'),
    problemsOf('defender-scans'),
    problemsOf('av-health-files', 'av-health-pages'),
  ])
  return { changes, scanHistory, avHealth }
}
