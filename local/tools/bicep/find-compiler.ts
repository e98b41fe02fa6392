import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const project = fileURLToPath(new URL('../../../bicep/compiler/compiler.csproj', import.meta.url))
const isWindows = process.platform === 'win32'

/** The version that the project file names: an older one lacks `snapshot` or some resource types. */
export const pinned =
  /CommandLine[^>]*Version="\[([\d.]+)\]"/.exec(readFileSync(project, 'utf8'))?.[1] ?? ''

/** The path of a program that a shell would find. */
export function findProgram(name: string): string | undefined {
  const names = isWindows ? [`${name}.exe`, `${name}.cmd`] : [name]
  return (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((file) => join(folder, file)))
    .find(existsSync)
}

/** Whether `npm run bicep` has something to look for on this machine; starts nothing. */
export const mayHaveCompiler = () =>
  findProgram('bicep') !== undefined ||
  existsSync(ofAzureCli()) ||
  findProgram('dotnet') !== undefined

/** The compiler of this machine, or why there is none. */
export function findCompiler(): { path: string; version: string } | { missing: string } {
  const here = [findProgram('bicep') ?? '', ofAzureCli()].filter(existsSync)
  const found = here.map((path) => ({ path, version: versionOf(path) }))
  const usable = found.find(({ version }) => !isOlder(version, pinned))
  if (usable) return usable
  const old = found.map(({ path, version }) => `${path} is ${version}, older than ${pinned}`)
  if (!findProgram('dotnet'))
    return { missing: [...old, 'no bicep, no az bicep and no .NET SDK on this machine'].join('; ') }
  try {
    const path = restore()
    return { path, version: versionOf(path) }
  } catch (error) {
    return { missing: `the .NET SDK can't restore it: ${(error as Error).message}` }
  }
}

/** Where `az bicep install` puts it. */
function ofAzureCli() {
  const folder = process.env.AZURE_CONFIG_DIR ?? join(homedir(), '.azure')
  return join(folder, 'bin', isWindows ? 'bicep.exe' : 'bicep')
}

function restore(): string {
  const system = isWindows ? 'win' : process.platform === 'darwin' ? 'osx' : 'linux'
  const platform = `${system}-${process.arch}`
  run('dotnet', ['restore', project, `-p:BicepPlatform=${platform}`])
  const tools = join(
    packagesFolder(),
    `azure.bicep.commandline.${platform.toLowerCase()}`,
    pinned,
    'tools',
  )
  return join(tools, readdirSync(tools).find((name) => /^bicep(\.exe)?$/.test(name)) ?? 'bicep')
}

/** The folder in which the SDK keeps packages. */
export function packagesFolder(): string {
  const line = run('dotnet', ['nuget', 'locals', 'global-packages', '--list'])
  return line.replace(/^.*?global-packages: /s, '').trim()
}

const versionOf = (path: string) => /\d+\.\d+\.\d+/.exec(run(path, ['--version']))?.[0] ?? '0.0.0'

const isOlder = (one: string, other: string) =>
  one.localeCompare(other, undefined, { numeric: true }) < 0

function run(program: string, args: string[]): string {
  const env = { ...process.env, DOTNET_NOLOGO: '1', DOTNET_CLI_TELEMETRY_OPTOUT: '1' }
  return execFileSync(program, args, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] })
}
