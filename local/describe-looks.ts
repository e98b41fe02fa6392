import { type FlowLook, flowGrants } from '../shared/app/flows.ts'

/** A look at every flow, for people: a line a flow with what is wrong, then what mends it, each command once. */
export function describeLooks(looks: readonly FlowLook[]): string[] {
  const width = Math.max(...looks.map(({ flow }) => flowGrants[flow].title.length))
  const lines = looks.flatMap(({ flow, state, checks }) => {
    const problems = checks.flatMap(({ name, problem }) =>
      problem === null ? [] : [`${name}: ${problem}`],
    )
    const [first = '', ...others] = problems
    const head = `  ${flowGrants[flow].title.padEnd(width)}  ${state.padEnd(6)}  ${first}`.trimEnd()
    return [head, ...others.map((problem) => `${' '.repeat(width + 12)}${problem}`)]
  })
  const remedies = new Set(
    looks.flatMap(({ checks }) => checks.flatMap(({ remedy }) => remedy ?? [])),
  )
  return remedies.size === 0
    ? lines
    : [...lines, '\nTo mend it:', ...[...remedies].map((remedy) => `  ${remedy}`)]
}
