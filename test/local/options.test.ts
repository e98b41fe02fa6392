import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  findSwallowed,
  LARGEST_FLEET,
  listFaultSwitches,
  readOptions,
  USAGE,
} from '../../local/options.ts'
import { faultSwitches } from '../../local/simulator/switches/index.ts'
import { endAll, freshFolder, runToEnd } from './launch.ts'
import { typeRelay } from './relay-typed.ts'

afterAll(endAll)

describe('the command line', () => {
  test('is read as the help page says; relative paths start where the command was typed', () => {
    const typed = '--once --fleet 7 --port 0 --key abcdefgh --data here --verbose'.split(' ')

    expect(readOptions(typed, '/somewhere')).toEqual({
      faults: [],
      listFaults: false,
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

describe('options that npm has taken for itself', () => {
  const npm = (script: string, taken: Record<string, string>) => ({
    npm_lifecycle_event: script,
    ...Object.fromEntries(
      Object.entries(taken).map(([name, value]) => [`npm_config_${name}`, value]),
    ),
  })

  test.each<
    [typed: string, program: string, args: string[], env: Record<string, string>, line: string]
  >([
    ['npm start --once', 'start.ts', [], npm('start', { once: 'true' }), 'npm start -- --once'],
    [
      'npm start --fleet 100',
      'start.ts',
      ['100'],
      npm('start', { fleet: 'true' }),
      'npm start -- --fleet 100',
    ],
    [
      'npm start --fleet=100',
      'start.ts',
      [],
      npm('start', { fleet: '100' }),
      'npm start -- --fleet=100',
    ],
    [
      'npm start --port 0 --data x',
      'start.ts',
      ['0', 'x'],
      npm('start', { port: 'true', data: 'true' }),
      'npm start -- [options]',
    ],
    [
      'npm run verify --data x',
      'verify.ts',
      ['x'],
      npm('verify', { data: 'true' }),
      'npm run verify -- --data x',
    ],
    [
      'npm run preflight --settings x',
      'preflight.ts',
      ['x'],
      npm('preflight', { settings: 'true' }),
      'npm run preflight -- --settings x',
    ],
    [
      'npm run relay items list machine-actions --limit 5',
      'relay.ts',
      ['items', 'list', 'machine-actions', '5'],
      npm('relay', { limit: 'true' }),
      'npm run relay -- [options]',
    ],
  ])('%s: ends at once and says how to write it', async (_typed, program, args, env, line) => {
    const ended = await runToEnd(args, program, env)

    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toContain(' for itself: options of this script come after "--", as in: ')
    expect(ended.stderr).toContain(`${line}\n`)
  })

  test('an option that npm has too, and its own settings may have, is only pointed out', async () => {
    const said = await typeRelay(['status', '--url', 'http://127.0.0.1:9', '--key', 'some-key-1'], {
      env: npm('relay', { json: 'true' }),
    })

    expect(said.code).toBe(1)
    expect(said.err).toMatch(/^npm has taken --json for itself: .*npm run relay -- \[options\]/)
    expect(said.err).toContain('does not answer')
  })

  test('are not suspected in another script, nor where they came after "--"', () => {
    expect(findSwallowed('start', ['once'], [], npm('verify', { once: 'true' }))).toBeUndefined()
    expect(
      findSwallowed('start', ['once'], ['--once'], npm('start', { once: 'true' })),
    ).toBeUndefined()
    expect(findSwallowed('start', ['once'], [], npm('start', { once: '' }))).toBeUndefined()
  })
})

describe('--help', () => {
  test.each(['start.ts', 'verify.ts', 'preflight.ts', 'relay.ts'])(
    'of %s shows its usage and does nothing else',
    async (program) => {
      const ended = await runToEnd(['--help'], program)

      expect(ended).toMatchObject({
        code: 0,
        stderr: '',
        stdout: expect.stringMatching(/^Usage: npm/),
      })
      expect(ended.stdout).toContain('--help')
    },
  )
})

describe('an --upstream that can not be used ends the start with one line that names it', () => {
  const listen = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const startOn = (origin: string) =>
    runToEnd(['--once', '--upstream', origin, '--data', freshFolder()])

  test('when nothing listens there', async () => {
    const server = createServer()
    const origin = await listen(server)
    await new Promise((resolve) => server.close(resolve))

    const ended = await startOn(origin)

    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toBe(
      `--upstream: ${origin} does not answer (ECONNREFUSED): start that server first, or leave out --upstream.\n`,
    )
  })

  test('when it takes connections and never answers', async () => {
    const server = createTcpServer((socket) => void socket.on('error', () => {}).resume())
    const origin = await listen(server as unknown as Server)

    const ended = await startOn(origin)

    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toBe(
      `--upstream: ${origin} does not answer (no answer in 5 s): start that server first, or leave out --upstream.\n`,
    )
  })

  test('when it is another server', async () => {
    const origin = await listen(createServer((_request, response) => response.writeHead(404).end()))

    const ended = await startOn(origin)

    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toBe(
      `--upstream: ${origin} is not a server with the routes of the simulator: POST /token answered 404.\n`,
    )
  })
})

test('faults are named one by one or in a list, and an unknown one is explained', () => {
  const names = (...args: string[]) => readOptions(args).faults

  expect(names('--fault', 'deep-json,token-refused', '--fault', 'silent-upstream')).toEqual([
    'deep-json',
    'token-refused',
    'silent-upstream',
  ])
  expect(() => names('--fault', 'deep')).toThrow(
    '--fault "deep" is unknown; npm start -- --faults lists the names.',
  )
  expect(() => names('--fault', 'deep-json', '--live')).toThrow('--fault goes with the simulated')
  expect(readOptions(['--faults']).listFaults).toBe(true)
  const lines = listFaultSwitches().split('\n')
  expect(lines).toEqual(expect.arrayContaining(Object.keys(faultSwitches)))
  expect(lines.filter((line) => line.length > 80)).toEqual([])
})
