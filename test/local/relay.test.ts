import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Terminal } from '../../local/relay/run-relay.ts'
import { sampleDefinitions, sampleSessions } from '../../local/simulator/scans/sample-scans.ts'
import { readText } from '../bicep/template-texts.ts'
import { noTimers, startTestStack, type TestStack } from '../stack.ts'
import { cellsOf, typeRelay } from './relay-typed.ts'

let stack: TestStack
beforeAll(async () => {
  // Only polls that a test starts find changes.
  stack = await startTestStack({
    fleet: { size: 300, files: 2, badLines: 1 },
    env: noTimers,
  })
  await relay('check machine-actions')
  await relay('check investigations')
})
afterAll(() => stack.stop())

/** Moves the clock for everything that waits, and lets a little real time pass for the queues. */
const sleep = async (ms: number) => {
  // A slow machine must not use up the time limit of a call.
  while (stack.sleeps.limits > 0 && stack.sleeps.waits === 0) await pause()
  stack.clock.advance(ms)
  await pause()
}
const pause = () => new Promise((resolve) => setTimeout(resolve, 10))

const typeLine = (argv: string[], terminal: Partial<Terminal> = {}) =>
  typeRelay([...argv, '--url', stack.host.url, '--key', stack.keys.function], {
    sleep,
    ...terminal,
  })
const relay = (line: string, terminal?: Partial<Terminal>) => typeLine(line.split(' '), terminal)
const relayJson = async (line: string) => JSON.parse((await relay(`${line} --json`)).out)

describe('an export', () => {
  test('can be started, waited for and shown with every count and each rejected line', async () => {
    const started = await relayJson('export start')
    const waited = await relay(`export wait ${started.runId}`)
    const shown = await relay('export show')
    const listed = await relay('export list')

    expect(waited).toMatchObject({ code: 0, out: expect.stringMatching(/^state +published$/m) })
    expect(waited.err).toMatch(/: waiting …$/m)
    expect(shown).toMatchObject({ code: 0, out: expect.stringMatching(/^counts\.imported +2$/m) })
    expect(shown.out).toMatch(/\nrejected lines\nfile +line +reason +text\n\d/)
    expect(cellsOf(listed.out)).toEqual([
      ['run', 'state', 'method', 'started', 'ended', 'files', 'written', 'rejected', 'reason'],
      [
        started.runId,
        'published',
        'files',
        expect.any(String),
        expect.any(String),
        '2',
        '300',
        '1',
        '–',
      ],
    ])
    expect((await relay('snapshots list')).out).toContain(`AvHealthSnapshot${started.runId}`)
    const [device] = stack.fleet.truth()
    const summary = await relay('summary')
    const unknown = await Promise.all([relay('changes'), relay('devices history nobody')])
    expect(summary.out).toMatch(
      /\ndevices by value\ndimension +value +devices\n.*^mode +active +\d/ms,
    )
    expect(summary.out.split('\n').length).toBeLessThan(120)
    // Of the first snapshot nothing is known to have changed.
    expect(unknown.map(({ err }) => err)).toEqual([
      'No snapshot of this time was compared: what changed is not known.\n',
      'No snapshot held this device.\n',
    ])
    expect((await relay(`devices history ${device?.machineId}`)).err).toBe('No history.\n')
    expect((await relay(`devices show ${device?.machineId}`)).out).toContain(
      String(device?.machineId),
    )
  })

  test('that a guard stopped can be published, and one that no guard stopped is refused with the reason', async () => {
    stack.simulator.setFaults({ changeGeneratedTime: true, emptyFiles: 1 })
    const stopped = await relayJson('export start --wait')
    stack.simulator.setFaults({ changeGeneratedTime: false, emptyFiles: 0 })
    const published = await relay(`export publish ${stopped.runId} --wait`)
    const forced = await relayJson('export start --force --wait')
    const other = await relayJson('export start --wait')
    const refused = await relay(`export publish ${other.runId}`)

    expect(stopped).toMatchObject({ state: 'failed', guard: 'devices' })
    expect(published).toMatchObject({ code: 0, out: expect.stringMatching(/^state +published$/m) })
    expect([forced.reason, forced.state, other.state]).toEqual([null, 'published', 'unchanged'])
    expect(refused).toMatchObject({ code: 1, out: '' })
    expect(refused.err).toContain('ended as unchanged, and no guard stopped it')
  })

  test('that ends without a new snapshot ends the command as npm start does', async () => {
    const unchanged = await relay('export start --wait')
    const unknown = await relay('export wait 20200101000000abcd')

    expect(unchanged).toMatchObject({ code: 0, out: expect.stringMatching(/^state +unchanged$/m) })
    expect(unknown).toMatchObject({ code: 1, out: '' })
    expect(unknown.err).toMatch(
      /^There is no such run\n.+\nWhat to do: npm run relay -- export list lists the runs\.\n$/,
    )
  })
})

describe('watched items', () => {
  test('can be listed, filtered, shown, waited for and followed by their events', async () => {
    stack.simulator.actions.put({
      id: 'a1',
      status: 'Pending',
      type: 'Isolate',
      machineId: 'f'.repeat(40),
    })
    const checked = await relay('check machine-actions')
    const listed = await relay('items list machine-actions --type isolate')
    stack.simulator.actions.change('a1', { status: 'Succeeded' })
    await relay('check machine-actions')
    const waited = await relay('items wait machine-actions a1')
    const shown = await relay('items show machine-actions a1')
    const events = await relay(`events list --machine ${'f'.repeat(40)}`)

    expect(checked.out).toMatch(/^events +1$/m)
    expect(cellsOf(listed.out)[1]?.slice(0, 2)).toEqual(['a1', 'Pending'])
    expect(waited).toMatchObject({ code: 0, out: expect.stringMatching(/^outcome +terminal$/m) })
    expect(shown.out).toMatch(/^state +Succeeded$/m)
    expect(cellsOf(events.out).map((cells) => cells.slice(1, 4))).toEqual([
      ['event', 'item', 'step'],
      ['machine-action.appeared', 'a1', '· → Pending'],
      ['machine-action.changed', 'a1', 'Pending → Succeeded'],
    ])
  })

  test('an item that does not end in time ends the command with 1', async () => {
    stack.simulator.actions.put({ id: 'slow', status: 'Pending' })
    await relay('check machine-actions')

    const waited = await relay('items wait machine-actions slow --minutes 1')

    expect(waited).toMatchObject({ code: 1, out: expect.stringMatching(/^outcome +deadline$/m) })
  })

  test('a list is cut at the limit and names its continuation, or is read to its end', async () => {
    for (let count = 0; count < 7; count++)
      stack.simulator.actions.put({ id: `many-${count}`, type: 'Offboard' })
    await relay('check machine-actions')

    const cut = await relay('items list machine-actions --type Offboard --limit 3')
    const [, after = ''] = /--after (\S+)/.exec(cut.err) ?? []
    const rest = await relay(`items list machine-actions --type Offboard --after ${after} --all`)
    const none = await relay('items list machine-actions --type Block')

    const ids = [...cellsOf(cut.out).slice(1), ...cellsOf(rest.out).slice(1)].map(([id]) => id)
    expect(ids.toSorted()).toEqual(Array.from({ length: 7 }, (_, count) => `many-${count}`))
    expect(rest.err).toBe('')
    expect(none).toEqual({ code: 0, out: '', err: 'No items.\n' })
  })

  test('--follow prints new events from now on, one page of the API on each line', async () => {
    const followed = { lines: [] as string[] }
    const enough = new Error('seen enough')
    const isOver = typeLine(['events', 'list', '--follow', '--json'], {
      out: (line) => followed.lines.push(line),
      async sleep() {
        if (followed.lines.length > 0) throw enough
        stack.simulator.actions.put({ id: 'followed', status: 'Pending' })
        await relay('check machine-actions')
      },
    })

    await expect(isOver).rejects.toBe(enough)

    const events = followed.lines.flatMap((line) => JSON.parse(line).events)
    expect(events.map(({ subject }) => subject)).toEqual(['followed'])
  })

  test('--since leaves out earlier changes', async () => {
    stack.clock.advance(60_000)
    const since = stack.clock.now().toISOString()
    stack.simulator.actions.put({ id: 'late', status: 'Pending' })
    await relay('check machine-actions')

    const events = await relay(`events list --since ${since} --all`)

    expect(cellsOf(events.out).map((cells) => cells[2])).toEqual(['item', 'late'])
  })
})

test('a subscription can be created, tested, shown and deleted, and its dead deliveries sent again', async () => {
  const receiver = stack.simulator.receiver('operator')
  const created = JSON.parse(
    (
      await typeLine(
        ['subscriptions', 'create', '-', '--filter', '{"terminalOnly":true}', '--json'],
        {
          input: async () => `${receiver.url}\n`,
        },
      )
    ).out,
  )
  const tested = await relay(`subscriptions test ${created.id}`)
  receiver.setMode('refuse')
  const refused = await relay(`subscriptions test ${created.id}`)
  const rotated = await relayJson(`subscriptions rotate-secret ${created.id}`)
  const shown = await relay(`subscriptions show ${created.id}`)
  const enabled = await relay(`subscriptions enable ${created.id}`)
  stack.simulator.actions.put({ id: 'refused', status: 'Succeeded' })
  await relay('check machine-actions')
  let pending = await relay(`deliveries list ${created.id} --state pending`)
  while (!/ 500 /.test(pending.out)) {
    await sleep(0)
    pending = await relay(`deliveries list ${created.id} --state pending`)
  }
  const event = cellsOf(pending.out)[1]?.[0]
  const attempts = await relay(`deliveries show ${created.id} ${event}`)
  const resent = await relayJson(`deliveries resend ${created.id} ${event}`)
  const recovered = await relay(`deliveries recover ${created.id} --since 2020-01-01T00:00:00Z`)
  const dead = await relay(`deliveries dead ${created.id}`)
  const replayed = await relay(`deliveries replay ${created.id}`)
  const listed = await relay('subscriptions list')
  const deleted = await relay(`subscriptions delete ${created.id}`)
  const gone = await relay(`subscriptions show ${created.id}`)

  expect(created).toMatchObject({
    secret: expect.stringMatching(/^whsec_/),
    filter: { terminalOnly: true },
  })
  expect([tested.code, refused.code]).toEqual([0, 1])
  expect(attempts.out).toContain('500')
  expect([resent, recovered.code]).toEqual([{ queued: 1 }, 0])
  expect(rotated.secret).not.toBe(created.secret)
  expect(shown.out + listed.out + enabled.out).not.toContain('whsec_')
  expect(cellsOf(pending.out)[1]?.slice(1, 6)).toEqual([
    'machine-actions',
    expect.any(String),
    'pending',
    '1',
    '1',
  ])
  expect(dead).toEqual({ code: 0, out: '', err: 'No deliveries.\n' })
  expect(replayed).toMatchObject({ code: 0, out: 'queued  0\n' })
  expect(listed.out).toContain(created.id)
  expect(deleted).toEqual({ code: 0, out: '', err: 'Done.\n' })
  expect(gone.code).toBe(1)
})

test('scans are looked up at both sources', async () => {
  const definitions = await relay('scans definitions')
  const definition = await relay(`scans definition ${sampleDefinitions[0]}`)
  const session = await relay(`scans session ${sampleSessions[1]}`)
  const runs = await relay('scans runs 101')
  const [, [run = ''] = []] = cellsOf(runs.out)
  const one = await relay(`scans tenable 101 --run ${run}`)

  expect(cellsOf(definitions.out).map(([id]) => id)).toEqual(['id', ...sampleDefinitions])
  expect(definition.out).toMatch(/^name +Network devices$(?:.|\n)+^– +partial /m)
  expect(session.out).toMatch(/^state +partial$(?:.|\n)+\ntargets\nip +hostname/m)
  expect(one.out).toMatch(new RegExp(`^run\\.id +${run}$`, 'm'))
  expect(one.out).toMatch(/\ntargets\nip +hostname/)
})

test('the status shows the state of everything', async () => {
  // The tests before have moved the clock.
  await relay('check investigations')
  const { code, out } = await relay('status')

  expect(code).toBe(0)
  expect(out).toMatch(/^overall +ok$/m)
  expect(out).toMatch(/^defender +ok +\d/m)
  expect(out).toMatch(/^machine-actions +\d+ +\d{4}-/m)
})

test('for scripts the output is the answer of the API', async () => {
  const { body } = await stack.get('changes/machine-actions/items?limit=2')

  expect(await relayJson('items list machine-actions --limit 2')).toEqual(body)
  const refused = await relay('items list nonsense --json')
  expect(refused.code).toBe(1)
  expect(JSON.parse(refused.out)).toMatchObject({
    type: 'urn:defender-relay:invalid-request',
    status: 400,
  })
  expect(refused.err).toMatch(/<resource> must be one of machine-actions, investigations/)
})

test('names and comments of an attacker can’t control the terminal', async () => {
  const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egnp.exe\r\nfake  line'
  stack.simulator.actions.put({
    id: 'evil',
    type: 'Unisolate',
    requestorComment: evil,
    computerDnsName: evil,
  })
  await relay('check machine-actions')

  const outputs = [
    await relay('items list machine-actions --type Unisolate'),
    await relay('items list machine-actions --type Unisolate', { width: 200 }),
    await relay('items show machine-actions evil'),
    await relay('events list --item evil'),
    await relay('items list machine-actions --type Unisolate --json'),
  ]

  for (const { out } of outputs) {
    expect(out).toContain('\\u001b]0;owned\\u0007')
    expect(out).not.toMatch(/[^\P{C}\n]/u)
  }
  expect(outputs[0]?.out.split('\n')).toHaveLength(3)
  expect(JSON.parse(outputs[4]?.out ?? '').items[0].requestorComment).toBe(evil)
})

test('a table fits the terminal', async () => {
  const { out } = await relay('items list machine-actions', { width: 60 })

  for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(60)
  expect(out).toMatch(/^id +state/)
})

test('a wrong key is reported in one sentence and is not shown', async () => {
  const { code, out, err } = await typeRelay([
    'status',
    '--url',
    stack.host.url,
    '--key',
    'not-the-right-key',
  ])

  expect({ code, out }).toEqual({ code: 1, out: '' })
  expect(err).toBe(`${stack.host.url} refused the key (401): use a function key of this app.\n`)
})

describe('every question of docs/data.md is answered', () => {
  const questions = [...readText('docs/data.md').matchAll(/^### (.+\?)$/gm)]
  const lines = [
    ...readText('docs/data.md').matchAll(/^```bash\n(curl .+)\n(npm run relay -- .+)\n```$/gm),
  ].map(([, curl = '', command = '']) => [command, curl] as const)

  test('by at least one pair of lines each', () => {
    expect(questions).toHaveLength(13)
    expect(lines.length).toBeGreaterThanOrEqual(13)
  })

  test.each(lines)('%s', async (command, curl) => {
    const env = { ...process.env, RELAY_URL: stack.host.url, RELAY_KEY: stack.keys.function }
    const argv = (command.split(' -- ')[1]?.match(/'[^']*'|\S+/g) ?? []).map((word) =>
      word.replaceAll("'", ''),
    )
    const from = mkdtempSync(join(tmpdir(), 'defender-relay-csv-'))
    onTestFinished(() => rmSync(from, { recursive: true }))

    const pasted = `${curl} -w '\\n%{http_code}'`
    const { stdout } = await promisify(execFile)('bash', ['-c', pasted], { env })
    const isCsv = argv.includes('--csv')
    const more = isCsv || argv.includes('--json') ? [] : ['--json']
    const typed = await typeLine([...argv, ...more], { from })

    const answer = stdout.slice(0, stdout.lastIndexOf('\n'))
    expect(stdout.slice(answer.length + 1)).toBe('200')
    expect(typed.code).toBe(0)
    if (isCsv) expect(readFileSync(join(from, argv.at(-1) ?? ''), 'utf8')).toBe(`\ufeff${answer}`)
    else expect(JSON.parse(typed.out)).toEqual(JSON.parse(answer))
    // As a person reads it.
    if (!isCsv) expect((await typeLine(argv)).code).toBe(0)
  })
})
