import { execFile } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findProgram } from '../local/tools/bicep/find-compiler.ts'
import { findPowerShell } from '../local/tools/bicep/find-powershell.ts'
import { readText } from './bicep/template-texts.ts'
import { noTimers, startTestStack, type TestStack } from './stack.ts'

const page = readText('docs/scripts.md')
const languages = ['sh', 'powershell', 'python'] as const
type Language = (typeof languages)[number]

/** The example of a language below a heading. */
const example = (heading: string, language: Language): string => {
  const chapter = page.split(/^## /m).find((one) => one.startsWith(`${heading}\n`)) ?? ''
  return new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(chapter)?.[1] ?? ''
}

const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading)

/** How each language is started here with a script; undefined where it is not present. */
const interpreters: Record<Language, [program: string, ...args: string[]] | undefined> = {
  sh:
    findProgram('bash') && findProgram('curl') && findProgram('jq') && findProgram('openssl')
      ? ['bash']
      : undefined,
  powershell: findPowerShell(),
  python: findProgram('python3') ? ['python3'] : undefined,
}

/** What stands in for the terminal and the time of a person, in each language. */
const prelude: Record<Language, string> = {
  sh: 'sleep() { curl -s "$TEST_URL/sleep/$1"; }',
  powershell: `
    function Read-Host { param([switch]$MaskInput, $Prompt) [Console]::In.ReadLine() }
    function Start-Sleep { param($Seconds) $null = Invoke-WebRequest "$env:TEST_URL/sleep/$Seconds" }`,
  python: `
import getpass, os, time, urllib.request
getpass.getpass = lambda _: input()
time.sleep = lambda seconds: urllib.request.urlopen(f"{os.environ['TEST_URL']}/sleep/{seconds}")`,
}
const endings: Record<Language, string> = { sh: 'sh', powershell: 'ps1', python: 'py' }

let stack: TestStack
let server: Server
let origin = ''
let hook = { headers: {} as Record<string, string>, body: '' }
/** What happens while a script sleeps, and for how many seconds each time. */
let meanwhile = async () => {}
let slept: string[] = []
let secret = ''
let folder = ''

beforeAll(async () => {
  stack = await startTestStack({
    fleet: { size: 24, files: 1, badLines: 0 },
    env: { ...noTimers, AV_HEALTH_SIGNATURE_DAYS: '1' },
  })
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const [, seconds] = /^\/sleep\/(.*)$/.exec(request.url ?? '') ?? []
    if (seconds) {
      slept.push(seconds)
      await meanwhile()
    } else {
      const headers = request.headers as Record<string, string>
      hook = { headers, body: Buffer.concat(chunks).toString() }
    }
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await check()
  for (const id of languages) stack.simulator.actions.put({ id, status: 'Pending' })
  stack.simulator.actions.put({ id: 'bad', status: 'Failed' })
  await check()
  const { body } = await stack.post('subscriptions', { callbackUrl: `${origin}/hook` })
  secret = body.secret
  await stack.post(`subscriptions/${body.id}/test`)
  const { body: started } = await stack.post('av-health/exports')
  await stack.runToEnd(started.runId)
  folder = mkdtempSync(join(tmpdir(), 'relay-scripts-'))
})
afterAll(async () => {
  await stack.stop()
  await new Promise((resolve) => server.close(resolve))
  rmSync(folder, { recursive: true, force: true })
})

const check = () => stack.post('changes/machine-actions/check')

/** Runs examples one after the other in one process, as a person would who types the key. */
async function run(language: Language, chapters: string[], env: Record<string, string> = {}) {
  const [program = '', ...args] = interpreters[language] ?? []
  if (language === 'powershell') args.push('-NoProfile', '-File')
  const cwd = mkdtempSync(join(folder, `${language}-`))
  const script = join(cwd, `script.${endings[language]}`)
  const texts = ['First', ...chapters].map((chapter) => example(chapter, language))
  const text = [prelude[language], ...texts]
    .join('\n')
    .replaceAll('http://127.0.0.1:7071', stack.host.url)
    // So that there are several pages.
    .replaceAll('limit=10000', 'limit=2')
  writeFileSync(script, text)
  writeFileSync(join(cwd, 'body.json'), hook.body)
  const child = execFile(program, [...args, script], {
    cwd,
    env: {
      ...process.env,
      TEST_URL: origin,
      WEBHOOK_SECRET: secret,
      WEBHOOK_ID: hook.headers['webhook-id'],
      WEBHOOK_TIMESTAMP: hook.headers['webhook-timestamp'],
      WEBHOOK_SIGNATURE: hook.headers['webhook-signature'],
      NO_COLOR: '1',
      ...env,
    },
  })
  child.stdin?.end(`${stack.keys.function}\n`)
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (one) => said.push(one))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  const read = (file: string) => readFileSync(join(cwd, file), 'utf8')
  return { code, said: said.join(''), read }
}

const all = [
  'Follow the feed',
  'Verify a signature',
  'All stale devices as CSV',
  'Wait for an action',
]

test('every example is there in each language', () => {
  expect(headings).toEqual(['First', ...all.slice(0, 2), all[3], all[2]])
  expect(
    headings.flatMap((heading) => languages.filter((one) => example(heading, one) === '')),
  ).toEqual([])
})

const present = languages.filter((one) => interpreters[one])

test.each(present)(
  'in %s the feed is followed, a signature verified, every page written and an action awaited',
  async (language) => {
    slept = []
    meanwhile = async () => {
      stack.simulator.actions.change(language, { status: 'Succeeded' })
      await check()
    }
    const { code, said, read } = await run(language, all, { ACTION_ID: language })
    const { body: feed } = await stack.get('events?limit=1000')
    const { body: stale } = await stack.get('devices?condition=signature-stale&limit=1000')

    expect({ code, said }).toMatchObject({ code: 0 })
    expect(said).toContain('genuine')
    expect(said.trim().split(/\r?\n/).at(-1)).toBe('Succeeded')
    expect(slept).toEqual(['20'])
    const cursor = encodeURIComponent(read('cursor.txt').trim())
    const { body: rest } = await stack.get(`events?after=${cursor}`)
    // What came while it waited is the next time's.
    expect(rest.events.map(({ subject }: { subject: string }) => subject)).toEqual([language])
    expect(said).toContain(feed.events[0].subject)
    const rows = read('stale.csv').trim().split(/\r?\n/)
    expect(stale.devices.length).toBeGreaterThan(4)
    expect(rows).toHaveLength(1 + stale.devices.length)
    for (const { machineId } of stale.devices)
      expect(rows.filter((row) => row.includes(machineId))).toHaveLength(1)
  },
)

test.each(present)('in %s a post that is forged is refused', async (language) => {
  const wrong = { WEBHOOK_SIGNATURE: `v1,${'A'.repeat(43)}=` }
  const { code, said } = await run(language, ['Verify a signature'], wrong)

  expect(code).not.toBe(0)
  expect(said).toContain('forged')
  expect(said).not.toContain('genuine')
})

// One more process of PowerShell costs more than it shows.
test.each(present.filter((one) => one !== 'powershell'))(
  'in %s a genuine post of another day is refused',
  async (language) => {
    const { headers, body } = hook
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
    const signed = createHmac('sha256', key).update(`${headers['webhook-id']}.1700000000.${body}`)
    const { code, said } = await run(language, ['Verify a signature'], {
      WEBHOOK_TIMESTAMP: '1700000000',
      WEBHOOK_SIGNATURE: `v1,${signed.digest('base64')}`,
    })

    expect({ code, said: said.trim() }).toEqual({ code: 1, said: 'too old' })
  },
)

test.each(present)('in %s an action that failed ends with an error', async (language) => {
  const { code, said } = await run(language, ['Wait for an action'], { ACTION_ID: 'bad' })

  expect(code).not.toBe(0)
  expect(said).toContain('Failed')
  expect(said).not.toContain(stack.keys.function)
})
