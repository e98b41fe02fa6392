import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { findProgram } from '../bicep/find-compiler.ts'

/** What a program answered as JSON, or why it did not, in one line. */
export interface Answer {
  value?: unknown
  problem?: string
}

const LIMIT_MS = 60_000

/** Runs `az` or `azd` and reads its answer. */
export async function ask(name: 'az' | 'azd', args: string[]): Promise<Answer> {
  const program = findProgram(name)
  if (!program) return { problem: `${name} is not installed` }
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      // On Windows az is a script, which only a shell runs: no argument holds anything that a shell reads.
      shell: program.endsWith('.cmd'),
      timeout: LIMIT_MS,
      maxBuffer: 64e6,
    })
    return { value: JSON.parse(stdout) }
  } catch (error) {
    const {
      stderr = '',
      killed,
      message,
    } = error as { stderr?: string; killed?: boolean; message: string }
    if (killed) return { problem: `${name} did not answer within a minute` }
    const line = stderr.split('\n').find((one) => /error/i.test(one)) ?? stderr.split('\n')[0]
    return { problem: (line || message).replace(/^ERROR: /, '').trim() }
  }
}
