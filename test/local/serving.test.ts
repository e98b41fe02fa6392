import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { createAdjustableClock } from '../../local/clock.ts'
import { startReceiver } from '../../local/simulator/receiver.ts'
import {
  advance,
  emulatorPid,
  endAll,
  freshFolder,
  hurry,
  isAlive,
  keysOf,
  type Launched,
  launch,
  pause,
} from './launch.ts'

afterAll(endAll)

const madeSchema = z.object({ id: z.string(), secret: z.string() })
const feedSchema = z.object({
  events: z.array(z.object({ id: z.string(), type: z.string(), subject: z.string() })),
})

/** Starts on a folder, with every log line printed, and waits until it serves. */
async function serve(folder: string, ...args: string[]): Promise<Launched> {
  const start = launch(['--verbose', '--data', folder, ...args])
  void hurry(start, folder)
  await start.said('Serving')
  return start
}

/** Calls the app with the function key; returns the raw answer. */
async function ask(
  start: Launched,
  folder: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<string> {
  const headers = { 'x-functions-key': keysOf(folder).function, 'content-type': 'application/json' }
  const text = body === undefined ? {} : { body: JSON.stringify(body) }
  const response = await fetch(`${await start.url}/api/${path}`, { method, headers, ...text })
  return `${[...response.headers].join('\n')}\n\n${await response.text()}`
}

const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\n\n')))

/** Moves the clock ten minutes, in which some machine actions appear and change, and polls them. */
async function tenMinutesLater(start: Launched, folder: string): Promise<string> {
  await advance(await start.url, folder, 600)
  return ask(start, folder, 'POST', 'changes/machine-actions/check')
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(20)
}

describe.concurrent('a host that serves', () => {
  test('a killed host continues after a restart: same subscriptions, same feed, and a secret is answered only once', async () => {
    const folder = freshFolder()
    const receiver = await startReceiver({ clock: createAdjustableClock(), mode: 'refuse' })
    onTestFinished(() => receiver.stop())
    const canary = `canary${randomBytes(12).toString('hex')}`
    const callbackUrl = `${receiver.url}?sig=${canary}`
    const answers: string[] = []
    const look = async (start: Launched) => {
      for (const path of [
        'subscriptions',
        `subscriptions/${made.id}`,
        `subscriptions/${made.id}/deliveries`,
        'status',
      ])
        answers.push(await ask(start, folder, 'GET', path))
      const feed = await ask(start, folder, 'GET', 'events?stream=machine-actions&limit=1000')
      answers.push(feed, await ask(start, folder, 'POST', 'subscriptions', { callbackUrl }))
      return feedSchema.parse(bodyOf(feed)).events
    }

    const first = await serve(folder, '--fleet', '30')
    const made = madeSchema.parse(
      bodyOf(await ask(first, folder, 'POST', 'subscriptions', { callbackUrl })),
    )
    answers.push(await tenMinutesLater(first, folder))
    await until(() => receiver.deliveries.length > 0)
    receiver.setMode('reset')
    answers.push(await tenMinutesLater(first, folder))
    await first.said(' → ')
    const line = /^event {2}\S+ → .*/m.exec(first.stderr())?.[0]
    const before = await look(first)
    first.child.kill('SIGKILL')
    await first.ended

    receiver.setMode('accept')
    receiver.setSecret(made.secret)
    const second = await serve(folder)
    const after = await look(second)
    answers.push(await ask(second, folder, 'POST', `subscriptions/${made.id}/test`))
    await look(second)
    const emulator = emulatorPid(folder) ?? 0
    second.child.kill('SIGINT')
    const ended = await second.ended

    // First what the fleet is, then the page, then commands, then the accounting.
    expect(first.stderr()).toMatch(
      /^30 devices\. Antivirus mode: .*^Open now: machine actions \d.*#key=.*relay -- status.*Serving on.*^ +files +\d+ listed/ms,
    )
    expect(line).toMatch(/^event {2}\S+ → \w+ {2}\S/)
    expect(before.length).toBeGreaterThan(2)
    expect(after.slice(0, before.length)).toEqual(before)
    expect(answers.filter((answer) => answer.includes(made.id)).length).toBeGreaterThan(4)
    expect(new Set(receiver.unique().map(({ signatureOk }) => signatureOk))).toEqual(
      new Set([true]),
    )
    expect(ended).toMatchObject({ code: 0, stdout: '' })
    expect([isAlive(emulator), existsSync(join(folder, 'lock.json'))]).toEqual([false, false])
    const said = [
      ...answers,
      ...[await first.ended, ended].flatMap(({ stdout, stderr }) => [stdout, stderr]),
    ].join('\n')
    for (const confidence of [canary, made.secret, made.secret.replace('whsec_', '')])
      expect(said).not.toContain(confidence)
  })
})
