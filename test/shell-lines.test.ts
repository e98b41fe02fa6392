import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { findProgram } from '../local/tools/bicep/find-compiler.ts'
import { findPowerShell } from '../local/tools/bicep/find-powershell.ts'
import { readText } from './bicep/template-texts.ts'
import { findUnknown } from './known-options.ts'
import { fill, isForShOnly, pages, readBlocks, readCommands } from './shell-lines.ts'

const blocks = pages.flatMap((page) => readBlocks(page))
const posix = [
  ...blocks.filter(({ shell }) => shell === 'sh'),
  { page: 'bicep/grants/grant-roles.sh', text: readText('bicep/grants/grant-roles.sh') },
  { page: '.ci/run', text: readText('.ci/run') },
]
const powershell = [
  ...blocks.filter(({ shell, text }) => shell === 'powershell' || !isForShOnly(text)),
  { page: 'bicep/grants/grant-roles.ps1', text: readText('bicep/grants/grant-roles.ps1') },
]

test('bash can read every block of the documents and every script', () => {
  const faults = posix.flatMap(({ page, text }) => {
    const { stderr } = spawnSync('bash', ['-n'], { input: fill(text), encoding: 'utf8' })
    return stderr ? [`${page}: ${stderr}`] : []
  })

  expect(posix.length).toBeGreaterThan(10)
  expect(faults).toEqual([])
})

test('shellcheck has nothing to say about them, where it is present', () => {
  const faults = posix.flatMap(({ page, text }) => {
    if (!findProgram('shellcheck')) return []
    const { stdout } = spawnSync('shellcheck', ['-s', 'bash', '-f', 'gcc', '-'], {
      input: fill(text),
      encoding: 'utf8',
    })
    return stdout ? [`${page}: ${stdout}`] : []
  })

  expect(faults).toEqual([])
})

test('PowerShell can read every block that is for it, where it is present', async () => {
  const command = findPowerShell()
  const texts = powershell.map(({ text }) => fill(text))
  const faults = command ? await parseAll(command, texts) : []

  expect(texts.length).toBeGreaterThan(8)
  expect(faults.map((fault, index) => fault && `${powershell[index]?.page}: ${fault}`)).toEqual(
    faults.map(() => ''),
  )
})

test('every block that only a POSIX shell understands has a block for PowerShell behind it', () => {
  const alone = blocks.filter(
    ({ shell, text, hasTwin }) => shell === 'sh' && isForShOnly(text) && !hasTwin,
  )

  expect(alone.map(({ page, text }) => `${page}: ${text}`)).toEqual([])
})

test.each([
  ...pages,
  'bicep/grants/grant-roles.sh',
  'bicep/grants/grant-roles.ps1',
  'shared/app/fixes.ts',
  'local/tools/ask-alerts.ts',
])('every command of az and azd is known, with its options: %s', (page) => {
  const unknown = readCommands(readText(page)).flatMap((line) => findUnknown(line) ?? [])

  expect(unknown).toEqual([])
})

test('the commands of the doctor are known, with their options', () => {
  const text = readText('local/tools/doctor/examine.ts')
  const lines = [...text.matchAll(/ask\(\s*'(azd?)',\s*\[([^;]*?)\],?\s*\)/g)].map(
    ([, name, args = '']) => `${name} ${args.replaceAll(/[',\s]+/g, ' ').trim()}`,
  )

  expect(lines.length).toBeGreaterThan(10)
  expect(lines.flatMap((line) => findUnknown(line) ?? [])).toEqual([])
})

test('the commands of the documents are found, and a misspelt option or command is seen', () => {
  const all = pages.flatMap((page) => readCommands(readText(page)))

  expect(all.length).toBeGreaterThan(40)
  expect(findUnknown('az group create --resource-group rg')).toBe(
    'az group create has no --resource-group',
  )
  expect(findUnknown('az deployment create --name x')).toContain('no known command')
  expect(readCommands('run `az group creat --name x` now')).toEqual(['az group creat --name x'])
})

test('every script that a document runs with npm exists', () => {
  const scripts = Object.keys(JSON.parse(readText('package.json')).scripts)
  const named = pages.flatMap((page) =>
    [...readText(page).matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)].map(([, name]) => name),
  )

  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((name) => !scripts.includes(name ?? ''))).toEqual([])
})

/** The first fault of each text, or an empty one: one process for all of them. */
async function parseAll([program, ...args]: [string, ...string[]], texts: string[]) {
  const script = `
    $texts = $env:TEXTS | ConvertFrom-Json
    @($texts | ForEach-Object {
      $faults = $null
      $null = [System.Management.Automation.Language.Parser]::ParseInput($_, [ref] $null, [ref] $faults)
      if ($faults) { $faults[0].Message } else { '' }
    }) | ConvertTo-Json -AsArray`
  const { stdout } = await promisify(execFile)(
    program,
    [...args, '-NoProfile', '-Command', script],
    { env: { ...process.env, TEXTS: JSON.stringify(texts), NO_COLOR: '1' } },
  )
  return JSON.parse(stdout) as string[]
}
