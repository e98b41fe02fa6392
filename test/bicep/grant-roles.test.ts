import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findPowerShell } from '../../local/tools/bicep/find-powershell.ts'
import { root } from '../functions/load-registrations.ts'
import { readText } from './template-texts.ts'

/** Stands in for az: a tenant with three roles, and a file with those that the identity has. Anything else that it is asked fails. */
const az = `#!/bin/sh
echo "$*" >> "$FOLDER/calls"
say() { echo "$1" >&2; exit 1; }
roles='[{"value":"Alert.Read.All","id":"id-alert","allowedMemberTypes":["Application"]},{"value":"Machine.Read.All","id":"id-machine","allowedMemberTypes":["Application"]},{"value":"Machine.Read","id":"id-user","allowedMemberTypes":["User"]},{"value":"Vulnerability.Read.All","id":"id-vulnerability","allowedMemberTypes":["Application"]}]'
[ -z "$SIGNED_OUT" ] || say "ERROR: Please run 'az login' to setup account."
case "$*" in
  "account show"*) ;;
  "cloud show"*) echo https://graph.example/ ;;
  "ad sp show --id fc780465-2017-40d4-a0c5-307022471b92"*)
    [ -z "$UNLICENSED" ] || say "ERROR: Resource 'fc780465-2017-40d4-a0c5-307022471b92' does not exist or one of its queried reference-property objects are not present."
    [ -z "$UNREACHABLE" ] || say 'ERROR: Connection aborted.'
    case "$*" in *"--output json"*) echo "{\\"id\\":\\"defender\\",\\"appRoles\\":$roles}" ;; *) echo defender ;; esac ;;
  *"value=='Alert.Read.All'"*) echo id-alert ;;
  *"value=='Machine.Read.All'"*) echo id-machine ;;
  *"value=='Vulnerability.Read.All'"*) echo id-vulnerability ;;
  *"value=='"*) ;;
  "rest --method get"*)
    case "$*" in *principal/*) ;; *) say 'ERROR: Not Found({"error":{"code":"Request_ResourceNotFound"}})' ;; esac
    case "$*" in
      *"--output json"*)
        list=
        for id in $(cat "$FOLDER/held"); do list="$list,{\\"appRoleId\\":\\"$id\\",\\"resourceId\\":\\"defender\\"}"; done
        echo "{\\"value\\":[$(echo "$list" | cut -c2-)]}" ;;
      *) for id in $(cat "$FOLDER/held"); do case "$*" in *"appRoleId=='$id'"*) echo held ;; esac; done ;;
    esac ;;
  "rest --method post"*)
    [ -z "$NO_RIGHT" ] || say 'ERROR: Forbidden({"error":{"code":"Authorization_RequestDenied"}})'
    for last; do :; done
    case "$last" in @*) cat "$(echo "$last" | cut -c2-)" ;; *) echo "$last" ;; esac > "$FOLDER/body"
    sed 's/.*"appRoleId":"\\([^"]*\\)".*/\\1/' "$FOLDER/body" >> "$FOLDER/held"
    cat "$FOLDER/body" >> "$FOLDER/bodies"; echo >> "$FOLDER/bodies" ;;
  *) exit 9 ;;
esac
`

const powershell = findPowerShell()
const shells: [name: string, command: string[]][] = [
  ['sh', ['sh', join(root, 'bicep/grants/grant-roles.sh')]],
  ...(powershell
    ? [
        [
          'PowerShell',
          [...powershell, '-NoProfile', '-File', join(root, 'bicep/grants/grant-roles.ps1')],
        ] as [string, string[]],
      ]
    : []),
]

/** A tenant in which the identity has roles; each call of the result runs the script once. */
function startTenant(command: string[], held: string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'grant-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'az'), az, { mode: 0o755 })
  writeFileSync(join(folder, 'held'), held.map((id) => `${id}\n`).join(''))
  for (const name of ['bodies', 'calls']) writeFileSync(join(folder, name), '')
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')
  return async (args: string[], env: Record<string, string> = {}) => {
    const [program = '', ...first] = command
    // A program that is named by its path may need what lies beside it.
    const PATH = [folder, '/usr/bin', '/bin', dirname(program)].join(delimiter)
    const HOME = process.env.HOME ?? folder
    const ended = await promisify(execFile)(program, [...first, ...args], {
      env: { PATH, HOME, FOLDER: folder, NO_COLOR: '1', ...env },
    }).then(
      ({ stdout }) => ({ code: 0, out: stdout, err: '' }),
      ({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }),
    )
    const bodies = read('bodies')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
    return { ...ended, bodies, calls: read('calls') }
  }
}

describe.each(shells)('the roles are granted with %s', (_, command) => {
  test('the first run grants each role that is not there yet, on the cloud of the operator', async () => {
    const { code, out, bodies, calls } = await startTenant(command, ['id-machine'])(['principal'])

    expect(code).toBe(0)
    expect(out.trim().split(/\r?\n/)).toEqual([
      'Alert.Read.All: granted',
      'Machine.Read.All: already granted',
      'Vulnerability.Read.All: granted',
    ])
    expect(bodies).toEqual([
      { principalId: 'principal', resourceId: 'defender', appRoleId: 'id-alert' },
      { principalId: 'principal', resourceId: 'defender', appRoleId: 'id-vulnerability' },
    ])
    expect(calls).toContain(
      'https://graph.example/v1.0/servicePrincipals/principal/appRoleAssignments',
    )
  })

  test('the second run changes nothing', async () => {
    const run = startTenant(command)
    const first = await run(['principal', 'Alert.Read.All'])
    const second = await run(['principal', 'Alert.Read.All'])

    expect(first.out.trim()).toBe('Alert.Read.All: granted')
    expect(second.out.trim()).toBe('Alert.Read.All: already granted')
    expect(second.bodies).toHaveLength(1)
  })

  test('without the right to grant, the cause and the role that is needed are said', async () => {
    const { code, err } = await startTenant(command)(['principal'], { NO_RIGHT: 'yes' })

    expect(code).toBe(1)
    expect(err).toContain('Authorization_RequestDenied')
    expect(err).toContain('Alert.Read.All was not granted. You must be Privileged Role')
  })

  test('without a sign-in the answer is to sign in, not to buy a licence', async () => {
    const { code, err } = await startTenant(command)(['principal'], { SIGNED_OUT: 'yes' })

    expect(code).toBe(1)
    expect(err).toContain('You are not signed in. Run: az login')
    expect(err).not.toContain('licence')
  })

  test('a role name that does not exist grants nothing, not even the others', async () => {
    const run = startTenant(command)
    for (const name of ['No.Such.Role', 'Machine.Read']) {
      const { code, err, bodies } = await run(['principal', 'Alert.Read.All', name])

      expect(code).toBe(1)
      expect(err).toContain(`WindowsDefenderATP has no app role ${name}. Nothing was granted.`)
      expect(bodies).toEqual([])
    }
  })

  test('no licence, no connection, a wrong id and no argument are different sentences', async () => {
    const run = startTenant(command)
    const unlicensed = await run(['principal'], { UNLICENSED: 'yes' })
    const unreachable = await run(['principal'], { UNREACHABLE: 'yes' })
    const wrong = await run(['client-id', 'Alert.Read.All'])
    const nobody = await run([])

    expect(unlicensed.err).toContain('This tenant has no WindowsDefenderATP')
    expect(unreachable.err).toContain('Connection aborted')
    expect(unreachable.err).not.toContain('licence')
    expect(wrong.err).toContain('client-id was not found')
    expect(nobody).toMatchObject({ code: 2, err: expect.stringContaining('usage:') })
    for (const { code, bodies } of [unlicensed, unreachable, wrong])
      expect({ code, bodies }).toEqual({ code: 1, bodies: [] })
  })
})

test('both scripts say the same sentences, also where only one of them can run', () => {
  const sentences = (text: string) =>
    [...text.matchAll(/(?:fail|Stop-With) (["'])(.+?)\1/g)].map(([, , sentence = '']) =>
      sentence.replaceAll('$Principal', '$principal'),
    )

  const [sh, ps1] = ['sh', 'ps1'].map((end) =>
    sentences(readText(`bicep/grants/grant-roles.${end}`)),
  )

  expect(new Set(ps1)).toEqual(new Set(sh?.filter((one) => !one.startsWith('The roles of'))))
  expect(ps1?.length).toBeGreaterThan(5)
})
