import { existsSync, globSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findProgram } from './find-compiler.ts'

/** How PowerShell is started on this machine: of PATH, or as `npm run bicep` restores it. Undefined where there is none. */
export function findPowerShell(): [program: string, ...args: string[]] | undefined {
  const program = findProgram('pwsh')
  if (program) return [program]
  const dotnet = findProgram('dotnet')
  const packages = process.env.NUGET_PACKAGES ?? join(homedir(), '.nuget', 'packages')
  const system = process.platform === 'win32' ? 'win' : 'unix'
  const [found] = globSync(join(packages, `powershell/*/tools/*/any/${system}/pwsh.dll`))
  return dotnet && found && existsSync(found) ? [dotnet, found] : undefined
}
