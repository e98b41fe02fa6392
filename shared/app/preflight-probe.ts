import type { App } from '../app.ts'
import type { Claims } from '../platform/claims.ts'
import { ConfigError, ShapeError, UpstreamError } from '../platform/errors.ts'
import type { UpstreamWatch } from '../platform/upstream-watch.ts'
import type { DefenderFamily } from '../upstreams/defender-call.ts'
import type { Trouble } from './preflight-check.ts'
import { grantDefender, grantTenable, setSetting } from './preflight-remedies.ts'
import { sentence } from './preflight-token.ts'
import { upstreamRemedy } from './problems.ts'

const HOUR_MS = 60 * 60_000
/** The export's twenty calls an hour belong to its runs: a probe leaves them half. */
const LEFT_TO_RUNS = 10

/**
 * Makes one cheap call of a family and notes how it went. The export is not asked where it has let us in within the last
 * hour, nor when half of its calls are used up: its token has been judged then, and its runs come first.
 */
export async function probeDefender(
  app: App,
  family: DefenderFamily,
  claims: Claims,
): Promise<Trouble | undefined> {
  const { watches, probe, budget } = await app.defender()
  const watch = watches[family]
  if (family === 'export') {
    const [{ state, lastOkAt }, { hourLeft }] = await Promise.all([
      watch.report(),
      budget.left('export'),
    ])
    const isKnown =
      state === 'ok' && app.clock.now().getTime() - Date.parse(lastOkAt ?? '') < HOUR_MS
    if (isKnown || (hourLeft !== null && hourLeft < LEFT_TO_RUNS)) return undefined
  }
  return probed(
    'Defender',
    watch,
    () => probe(family),
    (missing) => grantDefender(missing, claims),
  )
}

/** Makes one cheap call of Tenable: it shows what the keys are good for, not what each scan allows. */
export async function probeTenable(app: App): Promise<Trouble | undefined> {
  const { tenable, watch } = await app.tenable()
  let isThere = true
  const trouble = await probed(
    'Tenable',
    watch,
    async () => {
      isThere = await tenable.probe(app.clock.now())
    },
    grantTenable,
  )
  const problem = 'TENABLE_BASE_URL leads to no Tenable'
  return isThere ? trouble : { problem, remedy: setSetting('TENABLE_BASE_URL') }
}

async function probed(
  name: 'Defender' | 'Tenable',
  watch: UpstreamWatch,
  call: () => Promise<void>,
  grant: (missing: string) => string,
): Promise<Trouble | undefined> {
  try {
    await watch.over(call)
    return undefined
  } catch (error) {
    if (error instanceof ShapeError)
      return { problem: error.message, remedy: upstreamRemedy(name, 'gone') }
    if (error instanceof ConfigError)
      return { problem: error.message, remedy: setSetting('AZURE_CLIENT_ID') }
    if (!(error instanceof UpstreamError)) throw error
    // Our own budget says nothing of the upstream: the flow runs as soon as there is a call left.
    if (error.facts.code === 'OwnBudget') return undefined
    const [missing] = error.facts.missing ?? []
    if (missing !== undefined)
      return { problem: `${missing} is missing: ${sentence(error)}`, remedy: grant(missing) }
    return { problem: sentence(error), remedy: upstreamRemedy(name, (await watch.report()).state) }
  }
}
