import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { localCallbacks } from '../../local/laptop.ts'
import { settingNames } from '../../shared/app/settings.ts'
import { theApp, useOverrides } from '../../shared/app.ts'
import { validateCallbackUrl } from '../../shared/events/subscriptions/callback-url.ts'
import { createLog } from '../../shared/platform/log.ts'
import { readSource, readTree } from '../house-source.ts'
import { freshStorage } from '../storage.ts'

test.each([
  'http://localhost:3000/hook',
  'https://localhost:3000/hook',
  'https://localhost/hook',
  'http://127.0.0.1:3000/hook',
  'http://[::1]:3000/hook',
])('a laptop takes a callback to itself: %s', async (callback) => {
  const { url } = await validateCallbackUrl(callback, localCallbacks)

  expect(url.href).toBe(callback)
})

test('a name that does not resolve is not treated as this machine', async () => {
  // Longer than a label may be: no resolver knows it, and none is called.
  const judging = validateCallbackUrl(`https://${'a'.repeat(64)}.contoso.com/hook`, localCallbacks)

  await expect(judging).rejects.toMatchObject({ facts: { problem: 'callback-unresolvable' } })
})

test('only a laptop allows loopback, and the pages for a newcomer say so', () => {
  for (const page of ['README.md', 'docs/laptop.md']) {
    const text = readFileSync(new URL(`../../${page}`, import.meta.url), 'utf8')
    const [paragraph = ''] = text.split('\n\n').filter((one) => one.includes('localhost'))
    expect(paragraph, page).toMatch(/\bonly\b/i)
    expect(paragraph, page).toContain('https')
    expect(paragraph, page).toMatch(/a deployed app\s/)
  }
})

test('only a laptop allows loopback: no environment variable makes the deployed app allow it', async () => {
  const storage = await freshStorage()
  const settingFor = (name: string) =>
    name === 'RELAY_STORAGE' ? storage : settingNames.includes(name) ? undefined : 'true'
  useOverrides({
    env: new Proxy({}, { get: (_env, name) => settingFor(String(name)), has: () => true }),
  })
  onTestFinished(() => useOverrides({}))

  const { callbackPolicy } = (await theApp().events()).events({
    log: createLog({ info() {}, warn() {}, error() {} }),
    trace: {},
  })

  expect(callbackPolicy.allowLoopback).toBe(false)
  await expect(
    validateCallbackUrl('http://127.0.0.1:3000/hook', callbackPolicy),
  ).rejects.toMatchObject({
    facts: { problem: 'callback-refused' },
  })
})

test('the only policy in deployed code refuses loopback; only a laptop passes another one', () => {
  const tree = Object.entries(readTree(new URL('../..', import.meta.url).pathname))
  const sources = tree
    .filter(([path]) => /^(?!test|bench).*\.ts$/.test(path))
    .map(([path, text]) => readSource(path, text))
  const deployed = sources.filter(({ path }) => /^(?:shared|functions)\//.test(path))

  const valuesOf = (name: string) =>
    deployed.flatMap(({ code }) =>
      [...code.matchAll(new RegExp(`\\b${name}: ?([\\w. ?]+)`, 'g'))].map(([, value]) =>
        value?.trim(),
      ),
    )
  const others = sources.filter((one) => !deployed.includes(one))

  expect(valuesOf('allowLoopback').sort()).toEqual(['boolean', 'false'])
  expect(new Set(valuesOf('callbackPolicy'))).toEqual(
    new Set(['CallbackPolicy', 'callbackPolicy ??']),
  )
  expect(
    others.filter(({ code }) => /\bcallbackPolicy\b/.test(code)).map(({ path }) => path),
  ).toEqual(['local/stack.ts', 'local/tools/cost/play.ts'])
})
