import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { LARGEST_FLEET, readOptions, USAGE } from '../../local/options.ts'
import { endAll, runToEnd } from './launch.ts'

afterAll(endAll)

describe('the command line', () => {
  test('is read as the help page says; relative paths start where the command was typed', () => {
    const typed = '--once --fleet 7 --port 0 --key abcdefgh --data here --verbose'.split(' ')

    expect(readOptions(typed, '/somewhere')).toEqual({
      once: true,
      fleet: 7,
      files: [],
      upstream: undefined,
      live: false,
      settings: undefined,
      port: 0,
      key: 'abcdefgh',
      data: '/somewhere/here',
      verbose: true,
      help: false,
    })
    expect(readOptions([])).toMatchObject({
      once: false,
      fleet: undefined,
      data: resolve('.local'),
      help: false,
    })
    expect(readOptions(['--files', 'a b', '/c', '--once'], '/x')).toMatchObject({
      files: ['/x/a b', '/c'],
      once: true,
    })
    expect(readOptions(['--upstream', 'http://127.0.0.1:9000/']).upstream).toBe(
      'http://127.0.0.1:9000',
    )
    expect(readOptions(['--live', '--settings', 'a.json'], '/x')).toMatchObject({
      live: true,
      settings: '/x/a.json',
      data: resolve('.local/live'),
    })
    expect(readOptions(['-h']).help).toBe(true)
  })

  test.each([
    ['--bogus', '--bogus is unknown.'],
    ['--no-once', '--no-once is unknown.'],
    ['-x', '-x is unknown.'],
    ['fleet', '"fleet" is unknown.'],
    ['--once=yes', '--once takes no value.'],
    ['--fleet', '--fleet needs a value.'],
    ['--fleet -5', '--fleet needs a value.'],
    ['--fleet --once', '--fleet needs a value.'],
    ['--fleet 0', '--fleet takes a whole number from 1 to 10000000.'],
    ['--fleet 1e3', '--fleet takes a whole number from 1 to 10000000.'],
    ['--fleet 12.5', '--fleet takes a whole number from 1 to 10000000.'],
    [`--fleet ${LARGEST_FLEET + 1}`, 'The storage emulator holds about'],
    ['--port 65536', '--port takes a whole number from 0 to 65535.'],
    ['--key short', '--key takes 8 to 200 letters'],
    ["--key it's-not-for-a-shell", '--key takes 8 to 200 letters'],
    ['--upstream 127.0.0.1:9000', '--upstream takes an origin'],
    ['--upstream ftp://127.0.0.1', '--upstream takes an origin'],
    ['--upstream http://127.0.0.1:9000/defender', '--upstream takes an origin'],
    ['--upstream http://me:secret@127.0.0.1:9000', '--upstream takes an origin'],
    ['--data=', '--data takes the path of a folder.'],
    ['--files=', '--files takes paths of files.'],
    ['--fleet 5 --files a', 'Give one of --fleet, --files, --upstream and --live.'],
    [
      '--files a --upstream http://127.0.0.1:9000',
      'Give one of --fleet, --files, --upstream and --live.',
    ],
    ['--live --fleet 5', 'Give one of --fleet, --files, --upstream and --live.'],
    ['--settings a.json', '--settings goes with --live.'],
  ])('%s: is refused in one sentence', (typed, sentence) => {
    const read = () => readOptions(typed.split(' '))

    expect(read).toThrow(sentence)
    expect(read).not.toThrow(/\n|secret/)
  })

  test('a wrong option ends the start with 2 and shows the usage', async () => {
    const ended = await runToEnd(['--bogus'])

    expect(ended).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `--bogus is unknown.\n\n${USAGE}\n`,
    })
  })

  test('--help shows the usage and starts nothing', async () => {
    const ended = await runToEnd(['--once', '--help'])

    expect(ended).toMatchObject({ code: 0, stdout: `${USAGE}\n`, stderr: '' })
  })
})

describe('an old Node', () => {
  const script = fileURLToPath(new URL('../../local/check-node.cjs', import.meta.url))
  const under = (version: string) => {
    const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' }); require(process.argv[1])`
    return promisify(execFile)(process.execPath, ['-e', pretend, script])
  }

  test('gets one sentence that says what to do', async () => {
    const refused = await under('20.20.2').catch((error) => error)

    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr.trim()).toMatch(
      /^defender-relay runs on Node 24 and this is Node 20\.20\.2: run "npm ci" .*\.$/,
    )
  })

  test('is the only one that is refused', async () => {
    for (const version of ['24.0.0', '26.1.0'])
      expect(await under(version)).toEqual({ stdout: '', stderr: '' })
  })
})
