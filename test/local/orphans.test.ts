import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { createAdjustableClock } from '../../local/clock.ts'
import { createFleet } from '../../local/simulator/fleet.ts'
import { startSimulator } from '../../local/simulator/simulator.ts'
import {
  askNewestRun,
  askRun,
  emulatorPid,
  endAll,
  freshFolder,
  gone,
  hurry,
  isAlive,
  launch,
  pause,
  runToEnd,
  runUnderWay,
} from './launch.ts'

afterAll(endAll)

async function emulatorOf(folder: string): Promise<number> {
  for (;;) {
    const pid = emulatorPid(folder)
    if (pid) return pid
    await pause(5)
  }
}

/** Listens on the port that a host tries first. When another process has the port, it has it during the whole test. */
async function takeUsualPort(): Promise<Server> {
  const server = createServer()
  for (let tries = 0; tries < 500 && !server.listening; tries++) {
    server.listen(7071, '127.0.0.1')
    await once(server, 'listening').catch(() => pause(20))
  }
  return server
}

describe.concurrent('nothing is left behind', () => {
  test('Ctrl-C during the import stops everything; the next start finishes the same run, and shares neither folder nor port until SIGTERM stops it', async () => {
    const folder = freshFolder()
    const first = launch(['--fleet', '60', '--data', folder])
    const run = await runUnderWay(first, folder)
    const emulator = await emulatorOf(folder)
    first.child.kill('SIGINT')
    const stopped = await first.ended
    const left = [isAlive(emulator), existsSync(join(folder, 'lock.json'))]

    const usual = await takeUsualPort()
    const second = launch(['--data', folder])
    void hurry(second, folder)
    await second.said('Serving')
    const next = await emulatorOf(folder)
    const third = await runToEnd(['--once', '--data', folder])
    const finished = await askNewestRun(second, folder)
    second.child.kill('SIGTERM')

    expect(stopped).toMatchObject({ code: 130, stdout: '' })
    expect(left).toEqual([false, false])
    expect(third).toMatchObject({ code: 1, stdout: '' })
    expect(third.stderr.trim()).toMatch(new RegExp(`^Process ${second.pid} already runs on .*\\.$`))
    expect(finished).toMatchObject({
      runId: run.runId,
      state: 'published',
      counts: { written: 60 },
    })
    expect(await second.url).not.toContain(':7071')
    expect(await second.ended).toMatchObject({ code: 0, stdout: '' })
    expect([isAlive(next), existsSync(join(folder, 'lock.json'))]).toEqual([false, false])
    usual.close()
  })

  test('an unfinished run of another fleet ends as failed, with its reason', async () => {
    const folder = freshFolder()
    const first = launch(['--fleet', '10', '--data', folder])
    const old = await runUnderWay(first, folder)
    first.child.kill('SIGKILL')
    await first.ended

    const second = launch(['--fleet', '12', '--data', folder])
    void hurry(second, folder)
    await second.said('Serving')
    const next = await askNewestRun(second, folder)
    const given = await askRun(second, folder, old.runId)
    second.child.kill('SIGINT')
    await second.ended

    expect(next).toMatchObject({ state: 'published', counts: { written: 12 } })
    expect(given).toMatchObject({ state: 'failed', reason: 'the local fleet was replaced' })
    expect(second.stderr()).toContain(`run ${old.runId} is for another fleet: it ends as failed`)
  })

  test('of two starts at the same moment one has the folder and the other says so; a crash of the emulator ends the first with one sentence', async () => {
    const folder = freshFolder()
    const starts = [1, 2].map(() => launch(['--fleet', '30', '--data', folder]))

    const loser = await Promise.race(starts.map(({ ended }) => ended))
    const urls = await Promise.allSettled(starts.map(({ url }) => url))
    const winner = starts[urls.findIndex(({ status }) => status === 'fulfilled')]
    if (!winner) throw new Error('no start has the folder')
    await runUnderWay(winner, folder)
    process.kill(await emulatorOf(folder), 'SIGKILL')
    const ended = await winner.ended

    expect(loser).toMatchObject({ code: 1, stderr: expect.stringContaining('already runs on') })
    expect(urls.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/^The storage emulator has ended by itself: start again\.$/m)
  })

  test('a second Ctrl-C ends the process immediately; the emulator saves and ends too', async () => {
    const folder = freshFolder()
    const simulator = await startSimulator({
      clock: createAdjustableClock(),
      fleet: createFleet({ size: 400, files: 4 }),
      faults: { slowBytesPerSecond: 500 },
    })
    const start = launch(['--once', '--data', folder, '--upstream', simulator.origin])
    while (simulator.downloads.size === 0) await pause(5)
    const emulator = await emulatorOf(folder)

    start.child.kill('SIGINT')
    await start.said('stopping')
    const wasAlive = isAlive(start.pid)
    start.child.kill('SIGINT')

    expect(wasAlive).toBe(true)
    expect(await start.ended).toMatchObject({ code: 130, stdout: '' })
    await gone(emulator)
    await simulator.stop()
  })

  test.each([0, 300])(
    'a start killed %i ms after its emulator was born leaves no emulator',
    async (ms) => {
      const folder = freshFolder()
      const start = launch(['--fleet', '30', '--data', folder])
      const emulator = await emulatorOf(folder)
      await pause(ms)

      start.child.kill('SIGKILL')
      await start.ended

      await gone(emulator)
      expect(isAlive(emulator)).toBe(false)
    },
  )

  test('Ctrl-C before everything is ready stops what was started', async () => {
    const folder = freshFolder()
    const start = launch(['--fleet', '30', '--data', folder])
    const emulator = await emulatorOf(folder)

    start.child.kill('SIGINT')

    expect(await start.ended).toMatchObject({ code: 130, stdout: '' })
    expect(isAlive(emulator)).toBe(false)
  })

  test('a signal to npm stops it too, although it ends only the shell of npm', async () => {
    const folder = freshFolder()
    const program = fileURLToPath(new URL('../../local/start.ts', import.meta.url))
    const script = [process.execPath, program, '--fleet', '30', '--data', folder]
    const shell = spawn('sh', ['-c', '"$0" "$@"; exit $?', ...script], {
      stdio: 'ignore',
      env: { ...process.env, npm_lifecycle_event: 'start' },
    })
    const emulator = await emulatorOf(folder)

    shell.kill('SIGTERM')

    await gone(emulator)
    while (existsSync(join(folder, 'lock.json'))) await pause(20)
  })
})
