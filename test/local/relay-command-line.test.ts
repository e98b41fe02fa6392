import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { openDataFolder } from '../../local/data-folder.ts'
import { findTarget } from '../../local/relay/client.ts'
import { wordsOf } from '../../local/relay/command-line.ts'
import { commands } from '../../local/relay/commands/index.ts'
import { endAll, freshFolder, runToEnd } from './launch.ts'
import { typeRelay } from './relay-typed.ts'

afterAll(endAll)

const key = 'key-of-the-operator'
const far = 'https://relay.contoso.example'

describe('a wrong command line ends with 2 and a hint', () => {
  test.each([
    ['', 'No command.'],
    ['stauts', '"stauts" is unknown.'],
    ['export', 'Which command?\n  export start'],
    ['export stop', '"export stop" is unknown.'],
    ['items show machine-actions', '<id> is missing.'],
    ['items show machine-actions a b', '"b" is one argument too many.'],
    ['subscriptions delete ..', '".." is not an id.'],
    ['status --limit 3', '--limit is not for "status".'],
    ['status --bogus', '--bogus is unknown.'],
    ['events list --limit 0', '--limit takes a whole number from 1 to 9999999.'],
    ['events list --limit 3 --all', 'Give one of --limit, --all, --follow and --csv.'],
    ['events list --since', '--since needs a value.'],
    ['subscriptions create https://x.example --filter {', '--filter takes JSON.'],
    ['subscriptions change sub_1 --headers {', '--headers takes JSON.'],
    ['status --url relay.contoso.example', 'An address is an origin'],
    ['status --url https://me:secret@relay.contoso.example', 'An address is an origin'],
    ['status --key short', 'A key has 8 to 300 characters'],
  ])('%s', async (line, message) => {
    const given = /--url|--key/.test(line) ? [] : ['--url', far, '--key', key]

    const { code, out, err } = await typeRelay([...line.split(' ').filter(Boolean), ...given])

    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
    expect(err).toMatch(/\nSee: npm run relay -- .*--help\n$/)
    expect(err).not.toMatch(/secret/)
  })
})

describe('a command that does not exist is answered with the nearest one', () => {
  test.each([
    ['items get', 'items show <resource> <id>'],
    ['items ls', 'items list <resource>'],
    ['item show', 'items show <resource> <id>'],
    ['items lsit', 'items list <resource>'],
    ['devices get', 'devices show <machineId>'],
    ['stauts', 'status'],
    ['subscription rm', 'subscriptions delete <subscription>'],
    ['subscriptions rotate', null],
    ['scan runs', 'scans runs <scan>'],
    ['export stop', null],
    ['frobnicate', null],
    ['x y z', null],
  ])('%s', async (line, usage) => {
    const { code, err } = await typeRelay([...line.split(' '), '--url', far, '--key', key])

    expect(code).toBe(2)
    expect(/Did you mean "(.+)"\?/.exec(err)?.[1] ?? null).toBe(usage)
  })

  test('or with the commands of its group', async () => {
    const { err } = await typeRelay(['export', 'stop', '--url', far, '--key', key])

    expect(err).toMatch(/^"export stop" is unknown\.\nWhich command\?\n {2}export start /)
  })
})

const widest = (text: string) => Math.max(...text.split('\n').map(({ length }) => length))

describe('help', () => {
  test('names every command, and each one has a page with its options, in 80 columns', async () => {
    const { code, out } = await typeRelay(['--help'])

    expect(code).toBe(0)
    expect(widest(out)).toBeLessThanOrEqual(80)
    for (const command of commands) {
      const page = await typeRelay([...wordsOf(command), '--help'])
      expect(out).toContain(`  ${command.usage} `)
      expect(page.out.replaceAll('\n', ' ')).toContain(command.summary)
      for (const option of command.options ?? []) expect(page.out).toContain(`--${option}`)
    }
  })

  test('exists for each group of commands', async () => {
    const { out } = await typeRelay(['deliveries', '-h'])

    expect(out).toContain('deliveries replay <subscription>')
    expect(out).not.toContain('export start')
  })

  test('and the page on laptops name every group of commands', () => {
    const page = readFileSync(new URL('../../docs/laptop.md', import.meta.url), 'utf8')

    expect(
      [...new Set(commands.map((command) => wordsOf(command)[0]))].filter(
        (word) => !page.includes(`\`${word}`),
      ),
    ).toEqual([])
  })
})

describe('the app and its key', () => {
  test('are taken from the command line, else from the environment', async () => {
    const env = { RELAY_URL: far, RELAY_KEY: key }

    expect(await findTarget({}, env, '/')).toEqual({ origin: far, key })
    expect(await findTarget({ key: 'another-key' }, env, '/')).toEqual({
      origin: far,
      key: 'another-key',
    })
    expect(await findTarget({ url: far }, { RELAY_KEY: key }, '/')).toEqual({ origin: far, key })
  })

  test('a key of the environment is used only with the environment’s address', async () => {
    const env = { RELAY_URL: far, RELAY_KEY: key }

    const target = findTarget({ url: 'https://other.contoso.example' }, env, '/')

    await expect(target).rejects.toThrow('This app needs a function key')
  })

  test('are taken from the data folder while npm start runs', async () => {
    const dir = freshFolder()
    const folder = await openDataFolder(dir)
    folder.save()
    folder.noteAddress('http://127.0.0.1:9')

    const found = { origin: 'http://127.0.0.1:9', key: folder.state.keys.function }
    expect(await findTarget({ data: dir }, {}, '/')).toEqual(found)
    expect(await findTarget({ url: found.origin, data: dir }, {}, '/')).toEqual(found)
    folder.release()
  })

  test('are not used when the process has ended without saying so: another one may listen there', async () => {
    const dir = freshFolder()
    const folder = await openDataFolder(dir)
    folder.save()
    folder.noteAddress('http://127.0.0.1:9')
    const file = join(dir, 'lock.json')
    const lock = JSON.parse(readFileSync(file, 'utf8'))
    // The process id of this process, which started at another time.
    writeFileSync(file, JSON.stringify({ ...lock, host: { ...lock.host, began: '1' } }))

    await expect(findTarget({ data: dir }, {}, '/')).rejects.toThrow(/^No app runs on .+ now/)
    await expect(findTarget({ url: lock.url, data: dir }, {}, '/')).rejects.toThrow(
      'This app needs a function key',
    )
    folder.release()
  })

  test('the key of a data folder is only for its own app', async () => {
    const dir = freshFolder()
    const folder = await openDataFolder(dir)
    folder.save()
    folder.release()

    await expect(findTarget({ data: dir }, {}, '/')).rejects.toThrow(
      /^No app runs on .+ now: run npm start/,
    )
    for (const url of [far, 'http://127.0.0.1:9', 'http://localhost:9'])
      await expect(findTarget({ url, data: dir }, {}, '/')).rejects.toThrow(
        'This app needs a function key',
      )
    writeFileSync(join(dir, 'state.json'), '{')
    await expect(findTarget({ data: dir }, {}, '/')).rejects.toThrow(
      /state\.json is broken: delete it/,
    )
    await expect(findTarget({ data: freshFolder() }, {}, '/')).rejects.toThrow(
      /^Nothing was started in .+ yet: run npm start/,
    )
  })
})

test('as a process it writes only the answer to standard output and ends with the exit code', async () => {
  const server = createServer((_request, response) => response.end('{"runs":[],\n"next":null}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const env = {
    RELAY_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    RELAY_KEY: key,
  }

  const listed = await runToEnd(['export', 'list', '--json'], 'relay.ts', env)
  const wrong = await runToEnd(['export', 'lost'], 'relay.ts', env)

  expect(listed).toMatchObject({ code: 0, stdout: '{"runs":[], "next":null}\n', stderr: '' })
  expect(wrong).toMatchObject({ code: 2, stdout: '' })
  await new Promise((resolve) => server.close(resolve))
})
