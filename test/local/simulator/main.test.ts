import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { getToken } from './caller.ts'

test('the simulator runs alone, prints its address, and ends when its parent disconnects', async () => {
  const main = fileURLToPath(new URL('../../../local/simulator/main.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    [main, '--port', '0', '--fleet', '30', '--seed', '2', '--actions-per-hour', '40'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  onTestFinished(() => void child.kill('SIGKILL'))

  const [line] = await once(createInterface(child.stdout), 'line')
  const { origin } = JSON.parse(line)
  const token = await getToken(origin)
  const page = await fetch(`${origin}/defender/api/deviceavinfo?$top=100`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const actions = await fetch(`${origin}/defender/api/machineactions?$top=10000`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const [devices, living] = [await page.json(), await actions.json()] as { value: unknown[] }[]
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')

  expect(devices?.value).toHaveLength(30)
  expect(living?.value.length).toBeGreaterThan(8000)
  expect(code).toBe(0)
})
