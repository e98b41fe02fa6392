import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import pLimit from 'p-limit'
import {
  Complaint,
  compile,
  copyTemplates,
  expandSet,
  parameterSets,
  readContract,
} from './bicep/expand.ts'
import { faults, plant } from './bicep/faults.ts'
import { findCompiler } from './bicep/find-compiler.ts'
import { compareTables, type Expanded, readSets, writeTable } from './bicep/table.ts'

const USAGE = `Usage: npm run bicep [-- options]

Compiles bicep/main.bicep with the real compiler, expands it in each set of
parameters, and compares resources, roles, settings, parameters and outputs
with bicep/compiler/table.txt. Uses bicep of PATH or of az; else the .NET SDK
restores it. Ends with 1 on a difference or any message of the compiler, and
with 2 where no compiler can be had.

  --write      write the table, for a change that is meant
  --faults     then plant one fault after the other: each must be found
  --optional   end with 0 where no compiler can be had
  --help       this page`

const root = fileURLToPath(new URL('../..', import.meta.url))
const table = join(root, 'bicep/compiler/table.txt')
const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean' },
    faults: { type: 'boolean' },
    optional: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
const limit = pLimit(Math.min(2, availableParallelism()))

process.exitCode = options.help ? print(USAGE, 0) : await main()

async function main(): Promise<number> {
  const compiler = findCompiler()
  if ('missing' in compiler)
    return print(`The templates were not compiled: ${compiler.missing}.`, options.optional ? 0 : 2)
  print(`bicep ${compiler.version}: ${compiler.path}`)
  const found = await differences(compiler.path)
  if (found.length > 0)
    return print(
      `${found.join('\n')}\n\nRead each line. If it is meant: npm run bicep -- --write`,
      1,
    )
  print(
    `${Object.keys(parameterSets).length} sets of parameters are as bicep/compiler/table.txt says`,
  )
  print(await compileGrants(compiler.path))
  return options.faults && !options.write ? plantAll(compiler.path) : 0
}

/** What the compiler says, or where the expanded templates differ from the table; by default in all sets. */
async function differences(
  compiler: string,
  names = ['template', ...Object.keys(parameterSets)],
  change: (folder: string) => void = () => {},
): Promise<string[]> {
  const results = await Promise.all(
    names.map((name) => limit(async () => [name, await expandChanged(name)] as const)),
  )
  const complaints = results.flatMap(([, one]) =>
    one instanceof Complaint ? one.message.split('\n') : [],
  )
  if (complaints.length > 0) return [...new Set(complaints)]
  const now = writeTable(
    new Map(results.flatMap(([name, one]) => (one instanceof Complaint ? [] : [[name, one]]))),
  )
  if (options.write) writeFileSync(table, now)
  return compareTables(writeTable(readSets(readFileSync(table, 'utf8'), names)), now)

  async function expandChanged(name: string): Promise<Expanded | Complaint> {
    // Each set in a copy of its own: the compiler writes beside the file that it reads.
    const { folder, remove } = copyTemplates(root)
    try {
      change(folder)
      return await (name === 'template'
        ? readContract(compiler, folder)
        : expandSet(compiler, folder, name))
    } catch (error) {
      if (!(error instanceof Complaint)) throw error
      return new Complaint(error.message.replaceAll(join(folder, '/'), 'bicep/'))
    } finally {
      remove()
    }
  }
}

/** The Graph template needs types that are fetched; where they can't be, that is said. */
async function compileGrants(compiler: string): Promise<string> {
  const { folder, remove } = copyTemplates(root)
  try {
    await compile(compiler, ['build', join(folder, 'grants/main.bicep'), '--stdout'], {})
    return 'bicep/grants/main.bicep compiles'
  } catch (error) {
    if (!(error instanceof Complaint) || !/BCP19[02]/.test(error.message)) throw error
    return 'bicep/grants/main.bicep was not compiled: the types of Microsoft Graph can not be fetched here'
  } finally {
    remove()
  }
}

async function plantAll(compiler: string): Promise<number> {
  let missed = 0
  for (const fault of faults) {
    const [first] = await differences(compiler, [fault.set], (folder) => plant(fault, folder))
    if (!first) missed += 1
    print(`${first ? 'found ' : 'MISSED'}  ${fault.title}: ${first ?? 'no difference'}`)
  }
  return print(
    `${faults.length - missed} of ${faults.length} planted faults were found`,
    missed && 1,
  )
}

function print(line: string, code = 0): number {
  process.stdout.write(`${line}\n`)
  return code
}
