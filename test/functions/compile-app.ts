import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { root } from './load-registrations.ts'

/**
 * Compiles the app into a folder as `npm run build` does, and returns the errors of the compiler. `npm test` has built
 * it a moment ago.
 */
export async function compileApp(folder: string): Promise<string> {
  if (process.env.npm_lifecycle_event === 'test') {
    for (const part of ['functions', 'shared'])
      await cp(join(root, 'dist', part), join(folder, part), { recursive: true })
    return ''
  }
  const compiler = join(
    dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
    'bin/tsc',
  )
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [compiler, '-p', 'tsconfig.build.json', '--outDir', folder],
    { cwd: root },
  ).catch((error: { stdout: string }) => error)
  return stdout
}
