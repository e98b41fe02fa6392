import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { TableServiceClient } from '@azure/data-tables'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { DATA_ACCOUNT, SECRETS_ACCOUNT } from '../../local/azurite.ts'
import { openDataFolder, readState } from '../../local/data-folder.ts'
import { askPs } from '../../local/folder-lock.ts'
import { endAll, freshFolder, runToEnd } from './launch.ts'

afterAll(endAll)

/** A process that lives until it is killed. */
async function bystander(): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', 'console.log(); setInterval(() => {}, 1000)'], {
    stdio: 'pipe',
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child as typeof child & { pid: number }
}

const readLock = (folder: string) => JSON.parse(readFileSync(join(folder, 'lock.json'), 'utf8'))
const writeLock = (folder: string, lock: unknown) =>
  writeFileSync(join(folder, 'lock.json'), JSON.stringify(lock))

describe('the state', () => {
  test('is there after the process that wrote it has ended', async () => {
    const dir = join(freshFolder(), 'made', 'on the way')
    const first = await openDataFolder(dir)
    first.state.source = { kind: 'fleet', size: 7, generatedTime: '2026-11-21T03:04:00Z' }
    first.state.clockOffsetMs = 5000
    first.save()
    first.release()

    const second = await openDataFolder(dir)

    expect(second.state).toEqual(first.state)
    expect(readState(dir)).toEqual(first.state)
    second.release()
  })

  test.each([
    ['cut off', '{"keys": {"master": "a"'],
    ['of another shape', '{"keys": "none"}'],
    ['empty', ''],
  ])(
    '%s: is reported in one sentence and not changed, and the folder is unlocked',
    async (_how, text) => {
      const dir = freshFolder()
      writeFileSync(join(dir, 'state.json'), text)

      const opening = openDataFolder(dir)

      await expect(opening).rejects.toThrow(
        /^.*state\.json is broken: delete it, or choose another --data folder\.$/,
      )
      expect(readFileSync(join(dir, 'state.json'), 'utf8')).toBe(text)
      expect(existsSync(join(dir, 'lock.json'))).toBe(false)
    },
  )

  test.each([undefined, 2])(
    'one of version %s is refused with a sentence that says how to start again',
    async (version) => {
      const dir = freshFolder()
      const keys = { master: 'm', function: 'f', data: 'ZGF0YQ==' }
      const old = JSON.stringify({ version, keys, clockOffsetMs: 0 })
      writeFileSync(join(dir, 'state.json'), old)

      await expect(openDataFolder(dir)).rejects.toThrow(
        /^The data folder .* was made by another version of the app: delete it to start again, or choose another --data folder\.$/,
      )
      expect(readFileSync(join(dir, 'state.json'), 'utf8')).toBe(old)
    },
  )

  test('a broken one of the emulator ends a start with one sentence that names its folder', async () => {
    const dir = freshFolder()
    mkdirSync(join(dir, 'azurite'))
    writeFileSync(join(dir, 'azurite', '__azurite_db_table__.json'), '{"filename": "__azur')

    const ended = await runToEnd(['--once', '--fleet', '30', '--data', dir])

    expect(ended).toMatchObject({ code: 1, stdout: '' })
    const [last] = ended.stderr.trim().split('\n').slice(-1)
    expect(last).toMatch(/^The storage emulator did not start on .*azurite: .*JSON.*$/)
    expect(existsSync(join(dir, 'lock.json'))).toBe(false)
  })

  test.each(['a file', 'below a file'])(
    'a path that is %s is refused in one sentence',
    async (what) => {
      const file = join(freshFolder(), 'file')
      writeFileSync(file, '')

      const opening = openDataFolder(what === 'a file' ? file : join(file, 'below'))

      await expect(opening).rejects.toThrow(
        /^The data folder .* can't be used \((?:EEXIST|ENOTDIR) at \w+\): .*\.$/,
      )
    },
  )
  test.each(['/proc/x', '/proc/x/y'])(
    '%s, where nobody can make a folder, ends a start with one sentence',
    async (dir) => {
      const ended = await runToEnd(['--once', '--data', dir])

      expect(ended).toMatchObject({ code: 1, stdout: '' })
      expect(ended.stderr).toMatch(
        /^The data folder \/proc\/x.* can't be used \(\w+ at mkdir\): choose another --data\.\n$/,
      )
    },
  )

  test('a folder in which no file can be created is refused in one sentence', async () => {
    // In the folder of a process nobody can create a file, not even root.
    const dir = existsSync('/proc/self') ? '/proc/self' : freshFolder()
    if (dir !== '/proc/self') chmodSync(dir, 0o500)

    const opening = openDataFolder(dir)

    await expect(opening).rejects.toThrow(
      /^The data folder .* can't be used \(\w+ at open\): choose another --data\.$/,
    )
  })
})

describe('only this user can read callback URLs and keys', () => {
  /** The folder and everything below it that other users have rights on, with modes. */
  const openToOthers = (dir: string) =>
    ['.', ...readdirSync(dir, { recursive: true, encoding: 'utf8' })].filter(
      (name) => (statSync(join(dir, name)).mode & 0o077) !== 0,
    )

  test('in a new folder, and in its new parents', async () => {
    const above = freshFolder()

    const folder = await openDataFolder(join(above, 'on the way', 'data'))
    folder.save()
    folder.noteEmulator(process.pid)
    mkdirSync(join(folder.emulatorDir, 'below'))

    expect(openToOthers(above)).toEqual(['on the way/data/azurite/below'])
    folder.release()
  })

  test('in a folder that was open to others before, with all files of the emulator', async () => {
    const dir = freshFolder()
    mkdirSync(join(dir, 'azurite', 'below'), { recursive: true, mode: 0o755 })
    for (const name of ['state.json', 'azurite/table.json', 'azurite/below/extent']) {
      writeFileSync(
        join(dir, name),
        JSON.stringify({ version: 3, keys: { master: 'm', function: 'f' }, clockOffsetMs: 0 }),
      )
    }
    chmodSync(dir, 0o755)
    const before = openToOthers(dir)

    const folder = await openDataFolder(dir)

    expect(before).toHaveLength(6)
    expect(openToOthers(dir)).toEqual([])
    folder.release()
  })

  test('in a folder with other entries: those other entries keep their modes', async () => {
    const dir = freshFolder()
    writeFileSync(join(dir, 'azurite.txt'), '')
    chmodSync(dir, 0o755)

    const folder = await openDataFolder(dir)
    folder.save()

    expect(openToOthers(dir)).toEqual(['.', 'azurite.txt'])
    folder.release()
  })
})

describe('the emulator of a folder', () => {
  /** Azurite's development key, as its documentation prints it. */
  const published =
    'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
  const listTables = async (connection: string) => {
    const service = TableServiceClient.fromConnectionString(connection, {
      allowInsecureConnection: true,
      retryOptions: { maxRetries: 0 },
    })
    const names: string[] = []
    for await (const { name } of service.listTables()) names.push(name ?? '')
    return names
  }

  test('has a random key of its own for each account, the same at each start, and refuses the published one', async () => {
    const accounts = [DATA_ACCOUNT, SECRETS_ACCOUNT]
    const keyOf = (text: string) => /AccountKey=([^;]+)/.exec(text)?.[1]
    const folder = await openDataFolder(freshFolder())
    const first = await folder.startEmulator()
    const connections = accounts.map((account) => first.connectionString(account))

    for (const connection of connections) {
      expect(await listTables(connection)).toEqual([])
      const withPublished = connection.replace(/AccountKey=[^;]+/, `AccountKey=${published}`)
      await expect(listTables(withPublished)).rejects.toMatchObject({ statusCode: 403 })
    }
    await first.stop()
    const second = await folder.startEmulator()
    const other = await openDataFolder(freshFolder())

    expect(accounts.map((account) => keyOf(second.connectionString(account)))).toEqual(
      connections.map(keyOf),
    )
    const { keys } = folder.state
    const all = [keys, other.state.keys].flatMap(({ data, secrets }) => [data, secrets])
    expect(new Set(all).size).toBe(4)
    await second.stop()
    folder.release()
    other.release()
  })

  test('has its connection string in a file that only this user can read, while it runs', async () => {
    const folder = await openDataFolder(freshFolder())

    const azurite = await folder.startEmulator()
    const text = readFileSync(folder.connectionFile, 'utf8')
    const { mode } = statSync(folder.connectionFile)
    await azurite.stop()

    expect(text).toBe(`${azurite.connectionString()}\n`)
    expect(text).not.toContain(folder.state.keys.secrets)
    expect(mode & 0o777).toBe(0o600)
    expect(existsSync(folder.connectionFile)).toBe(false)
    folder.release()
  })
})

test('ps says of a process what Linux says: whether it has ended, and when it began', async () => {
  const other = await bystander()
  const [state, began] = askPs(other.pid)
  const again = askPs(other.pid)[1]
  other.kill('SIGKILL')
  await once(other, 'exit')

  expect(state).toMatch(/^[A-Y]/)
  expect(Date.parse(`${began} UTC`)).toBeGreaterThan(Date.parse('2020-01-01'))
  expect(again).toBe(began)
  expect(askPs(other.pid)).toEqual([])
})

describe('a folder is locked by one process at a time', () => {
  test('of many processes that want it at the same moment one gets it, and then the next', async () => {
    const dir = freshFolder()

    const openings = await Promise.allSettled(Array.from({ length: 8 }, () => openDataFolder(dir)))

    const opened = openings.filter((opening) => opening.status === 'fulfilled')
    expect(opened).toHaveLength(1)
    for (const opening of openings) {
      if (opening.status === 'rejected')
        expect(opening.reason.message).toContain(`Process ${process.pid} already runs`)
    }
    opened[0]?.value.release()
    const next = await openDataFolder(dir)
    next.release()
  })

  test('an ended process does not have it any more, also when its process id was reused', async () => {
    const dir = freshFolder()
    const other = await bystander()
    const folder = await openDataFolder(dir)
    folder.noteEmulator(other.pid)
    const { emulator } = readLock(dir)
    other.kill('SIGKILL')
    await once(other, 'exit')

    writeLock(dir, { host: emulator })
    const afterDeath = await openDataFolder(dir)
    afterDeath.release()
    // The id of this process with another start time.
    writeLock(dir, { host: { pid: process.pid, began: '1' } })
    const afterReuse = await openDataFolder(dir)

    expect(readLock(dir).host.pid).toBe(process.pid)
    afterReuse.release()
  })

  test('a start waits for an emulator that is still saving', async () => {
    const dir = freshFolder()
    const emulator = await bystander()
    const folder = await openDataFolder(dir)
    folder.noteEmulator(emulator.pid)
    const lock = readLock(dir)
    writeLock(dir, { ...lock, host: { ...lock.host, began: '1' } })
    let isOpen = false

    const opening = openDataFolder(dir).then((opened) => {
      isOpen = true
      return opened
    })
    await expect(openDataFolder(dir)).rejects.toThrow('already runs')
    const wasOpen = isOpen
    emulator.kill('SIGKILL')

    const opened = await opening
    expect(wasOpen).toBe(false)
    opened.release()
  })

  test('Ctrl-C ends that wait', async () => {
    const dir = freshFolder()
    const emulator = await bystander()
    const folder = await openDataFolder(dir)
    folder.noteEmulator(emulator.pid)
    const lock = readLock(dir)
    writeLock(dir, { ...lock, host: { ...lock.host, began: '1' } })
    const interrupt = new AbortController()

    const opening = openDataFolder(dir, interrupt.signal)
    interrupt.abort(new Error('interrupted'))

    await expect(opening).rejects.toThrow('abort')
  })

  test('Ctrl-C ends the wait for another start that is deciding', async () => {
    const dir = freshFolder()
    writeFileSync(join(dir, 'lock.json.new'), '')
    const interrupt = new AbortController()

    const opening = openDataFolder(dir, interrupt.signal)
    interrupt.abort(new Error('interrupted'))

    await expect(opening).rejects.toThrow('abort')
  })

  test.each([
    ['long ago', 1_700_000_000],
    ['in the future', 4_000_000_000],
  ])(
    'a sign that a killed process left %s in the middle of deciding keeps nobody out',
    async (_when, seconds) => {
      const dir = freshFolder()
      const sign = join(dir, 'lock.json.new')
      writeFileSync(sign, '')
      utimesSync(sign, seconds, seconds)

      const folder = await openDataFolder(dir)

      expect(existsSync(sign)).toBe(false)
      folder.release()
    },
  )

  test('a broken lock does not lock the folder', async () => {
    const dir = freshFolder()
    writeFileSync(join(dir, 'lock.json'), '{"host"')

    const folder = await openDataFolder(dir)

    expect(readLock(dir).host.pid).toBe(process.pid)
    folder.release()
  })
})
