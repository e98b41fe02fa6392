import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { newAccountKey, startAzurite } from '../local/azurite.ts'

declare module 'vitest' {
  interface ProvidedContext {
    accountsUrl: string
  }
}

/** One emulator and one folder of compiled files for the whole run; every ask at `accountsUrl` hands out an account that nobody had before. */
export default async function setup(project: TestProject) {
  const names = Array.from({ length: 1000 }, (_, index) => `test${index}`)
  const keys = names.map((name) => [name, newAccountKey()])
  const azurite = await startAzurite({ accounts: Object.fromEntries(keys) })
  const server = createServer((_request, response) => {
    const account = names.shift()
    response.statusCode = account ? 200 : 503
    response.end(account ? azurite.connectionString(account) : 'no account is left')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  project.provide('accountsUrl', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  // Processes load the same files again and again: the second one finds them compiled.
  const compiled = mkdtempSync(join(tmpdir(), 'defender-relay-compiled-'))
  process.env.NODE_COMPILE_CACHE = compiled
  return async () => {
    server.close()
    await azurite.stop()
    rmSync(compiled, { recursive: true, force: true, maxRetries: 5 })
  }
}
