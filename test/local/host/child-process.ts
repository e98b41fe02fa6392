import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A host in a separate process. */
export interface ChildHost {
  url: string
  /** What it has printed so far. */
  lines: string[]
  /** Kills it: it can't clean up. */
  kill(): Promise<void>
}

/** Starts `child.ts` on a storage account; it is killed when the test ends. */
export async function startChildHost(storage: string): Promise<ChildHost> {
  const script = fileURLToPath(new URL('./child.ts', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [script, storage], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  const lines: string[] = []
  if (!child.stdout) throw new Error('the child has no output')
  const output = createInterface(child.stdout)
  const url = await new Promise<string>((resolve, reject) => {
    ended.then(
      () => reject(new Error(`the host ended: ${lines.join('\n')}`)),
      () => undefined,
    )
    output.on('line', (line) => {
      lines.push(line)
      const [, address] = /^listening at (.*)$/.exec(line) ?? []
      if (address) resolve(address)
    })
  })
  return { url, lines, kill }
}
