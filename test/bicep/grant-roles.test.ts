import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { root } from '../functions/load-registrations.ts'

/** Stands in for az: knows three roles, of which the identity holds one; anything else it is asked ends in failure. */
const az = `#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  "cloud show"*) echo https://graph.example/ ;;
  "ad sp show --id fc780465-2017-40d4-a0c5-307022471b92"*) [ -z "$UNLICENSED" ] && echo defender ;;
  *"value=='Alert.Read.All'"*) echo id-alert ;;
  *"value=='Machine.Read.All'"*) echo id-machine ;;
  *"value=='Vulnerability.Read.All'"*) echo id-vulnerability ;;
  *"value=='No.Such.Role'"*) ;;
  "rest --method get"*"appRoleId=='id-machine'"*) echo held ;;
  "rest --method get"*) ;;
  "rest --method post"*) ;;
  *) exit 9 ;;
esac
`

async function grant(roles: string[], env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'grant-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'az'), az, { mode: 0o755 })
  const calls = join(folder, 'calls')
  writeFileSync(calls, '')
  const PATH = `${folder}${delimiter}/usr/bin${delimiter}/bin`
  const ended = await promisify(execFile)(
    'sh',
    [join(root, 'bicep/grants/grant-roles.sh'), ...roles],
    {
      env: { PATH, CALLS: calls, ...env },
    },
  ).then(
    ({ stdout }) => ({ code: 0, said: stdout }),
    ({ code, stderr }: { code: number; stderr: string }) => ({ code, said: stderr }),
  )
  return {
    ...ended,
    posts: readFileSync(calls, 'utf8')
      .split('\n')
      .filter((line) => line.includes('--method post')),
  }
}

test('each role that is not there yet is granted on the cloud of the operator', async () => {
  const { code, said, posts } = await grant(['principal'])

  expect(code).toBe(0)
  expect(said.trim().split('\n')).toEqual([
    'Alert.Read.All: granted',
    'Machine.Read.All: already granted',
    'Vulnerability.Read.All: granted',
  ])
  expect(posts).toHaveLength(2)
  expect(posts[0]).toContain(
    'https://graph.example/v1.0/servicePrincipals/principal/appRoleAssignments',
  )
  expect(posts[0]).toContain(
    '{"principalId":"principal","resourceId":"defender","appRoleId":"id-alert"}',
  )
})

test('a role that does not exist and a tenant without Defender end it with a sentence', async () => {
  const unknown = await grant(['principal', 'No.Such.Role'])
  const unlicensed = await grant(['principal'], { UNLICENSED: 'yes' })
  const nobody = await grant([])

  expect(unknown).toMatchObject({
    code: 1,
    said: 'WindowsDefenderATP has no app role No.Such.Role.\n',
    posts: [],
  })
  expect(unlicensed).toMatchObject({ code: 1, posts: [] })
  expect(unlicensed.said).toContain('licence')
  expect(nobody.code).not.toBe(0)
})
