import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { guards } from './faults/guards.ts'
import { toPage } from './faults/page.ts'

const USAGE =
  'Usage: npm run faults -- [--part <i>/<n>] [--only <text of a cell’s name>] [--steps] [--guards]'

/** How many of its processes share the work of one machine. */
const WORKERS = 2

/**
 * Plays the fault matrix: `npm run faults`. A whole run writes docs/faults.md; `--part` plays one of n parts, `--only`
 * the cells whose names have a text, `--steps` writes the table of steps, and `--guards` takes guards out of the app.
 */
const { values } = parseArgs({
  options: {
    part: { type: 'string', default: '1/1' },
    only: { type: 'string', default: '' },
    steps: { type: 'boolean', default: false },
    guards: { type: 'boolean', default: false },
  },
})
const [, part = '', parts = ''] = /^([1-9]\d*)\/([1-9]\d*)$/.exec(values.part) ?? []
if (!part || Number(part) > Number(parts)) {
  console.error(USAGE)
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'faults-'))
const root = new URL('..', import.meta.url)

/** Runs the tests with these variables, and resolves with what they have noted and their exit code. */
async function runTests(name: string, env: Record<string, string>, more: string[] = []) {
  const results = join(folder, `${name}.jsonl`)
  writeFileSync(results, '')
  const child = spawn('vitest', ['run', 'test/faults/faults.test.ts', '--silent', ...more], {
    env: { ...process.env, ...env, FAULTS_RESULTS: results },
    cwd: root,
    // On Windows the command is a script, which only a shell runs.
    shell: process.platform === 'win32',
    stdio: 'inherit',
  })
  const code = await new Promise<number>((resolve) =>
    child.once('exit', (end) => resolve(end ?? 1)),
  )
  return { code, results: read(results) }
}

const read = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

if (values.steps) {
  const { code, results } = await runTests('steps', { FAULTS_STEPS: '1' })
  const steps = Object.fromEntries(results.map(({ name, counts }) => [name, counts]))
  writeFileSync(new URL('test/faults/steps.json', root), `${JSON.stringify(steps, null, 2)}\n`)
  process.exit(code)
}
if (values.guards) process.exit(await takeGuardsOut())
const all = Array.from({ length: WORKERS }, (_, worker) =>
  runTests(String(worker), {
    FAULTS_ONLY: values.only,
    FAULTS_PART: `${(Number(part) - 1) * WORKERS + worker + 1}/${Number(parts) * WORKERS}`,
  }),
)
const runs = await Promise.all(all)
const results = runs.flatMap((run) => run.results)
const broken = results.filter((result) => result.broken.length > 0)
console.log(`${results.length} cells, ${broken.length} with a broken promise`)
for (const { name, broken: words } of broken) console.log(`${name}\n  ${words.join('\n  ')}`)
const isWhole = values.part === '1/1' && values.only === ''
// A page with a broken cell, or without one that did not end, would promise too much.
if (isWhole && runs.every(({ code }) => code === 0))
  writeFileSync(new URL('docs/faults.md', root), toPage(results))
process.exitCode = runs.some(({ code }) => code !== 0) || broken.length > 0 ? 1 : 0

/** Plays the cells of all guards with them, then each cell without its own; answers the exit code. */
async function takeGuardsOut(): Promise<number> {
  const named = guards.map(({ cell }) => cell).join('\n')
  const whole = await runTests('guards', { FAULTS_CELLS: named })
  const lines: string[] = []
  let code = whole.code
  for (const [index, { name, cell }] of guards.entries()) {
    const env = { FAULTS_CELLS: cell, FAULTS_WITHOUT: String(index) }
    const { results } = await runTests(`guard-${index}`, env, ['--testTimeout', '120000'])
    const [first = 'nothing is broken'] = results.flatMap(({ broken }) => broken)
    if (results.every(({ broken }) => broken.length === 0)) code = 1
    lines.push(`without: ${name}\n  ${cell}\n  ${first}`)
  }
  console.log(`${lines.join('\n')}\n${lines.length} guards`)
  return code
}
