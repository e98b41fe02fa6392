import { appendFileSync, readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { cells, nameOf, stepsOf } from './cells.ts'
import { guards } from './guards.ts'
import { type LoadedApp, loadApps } from './instance.ts'
import { countSteps, play } from './play.ts'
import { playProcess, processCells } from './processes.ts'
import { quick } from './quick.ts'
import { subjects } from './subjects.ts'

// `npm run faults` sets them; without them the cells of `quick.ts` are played.
const { FAULTS_CELLS, FAULTS_ONLY, FAULTS_PART, FAULTS_RESULTS, FAULTS_STEPS } = process.env
const named = FAULTS_CELLS?.split('\n') ?? quick

let apps: [LoadedApp, LoadedApp]
beforeAll(async () => {
  apps = await loadApps()
})

/** Whether a cell with this name and place in the matrix is played here. */
function isSelected(name: string, place: number): boolean {
  if (FAULTS_STEPS) return false
  if (FAULTS_PART === undefined) return named.includes(name)
  const [part = 1, parts = 1] = FAULTS_PART.split('/').map(Number)
  return name.includes(FAULTS_ONLY ?? '') && place % parts === part - 1
}

const note = (result: object) => {
  if (FAULTS_RESULTS) appendFileSync(FAULTS_RESULTS, `${JSON.stringify(result)}\n`)
}

const played = cells
  .map((cell, place) => ({ cell, place, name: nameOf(cell) }))
  .filter(({ name, place }) => isSelected(name, place))

test.each(played)('$name', async ({ cell, ...result }) => {
  const { outcome, broken, lines } = await play(apps, cell)

  note({ ...result, outcome, broken })
  expect(broken, lines.join('\n')).toEqual([])
})

const killed = processCells
  .map((cell, index) => ({ cell, place: cells.length + index, name: cell.name }))
  .filter(({ name, place }) => isSelected(name, place))

test.each(killed)('$name', async ({ cell, ...result }) => {
  note({ ...result, outcome: await playProcess(cell), broken: [] })
})

const measured = FAULTS_STEPS ? subjects : subjects.filter(({ name }) => name === 'poll')

test.each(measured.map((subject) => [subject.name, subject] as const))(
  'the table of steps has every step of %s, and no other',
  async (name, subject) => {
    const counts = await countSteps(apps, subject)

    if (FAULTS_STEPS) note({ name, counts })
    else expect(Object.keys(counts).sort()).toEqual(Object.keys(stepsOf(subject)).sort())
  },
)

test('every cell has a name of its own, and there are at least 300', () => {
  const names = [...cells.map(nameOf), ...processCells.map(({ name }) => name)]

  expect(new Set(names).size).toBe(names.length)
  expect(names.length).toBeGreaterThan(300)
  expect(quick.filter((name) => !names.includes(name))).toEqual([])
  expect(quick).toHaveLength(24)
})

test('every guard that can be taken out stands in the app once, and has its cell', () => {
  const names = cells.map(nameOf)

  expect(guards.filter(({ cell }) => !names.includes(cell))).toEqual([])
  for (const [file, words] of guards.flatMap(({ without }) => without)) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
    expect(text.split(words), `${file}: ${words}`).toHaveLength(2)
  }
})
