import { expect, test } from 'vitest'
import { z } from 'zod'
import { readSection, readUsable, wholeNumber } from '../../shared/platform/config.ts'
import { ConfigError } from '../../shared/platform/errors.ts'

const shape = {
  HOST: z.url('expected an address'),
  CLOUD: z.enum(['commercial', 'gcc']).default('commercial'),
  HOURS: wholeNumber(1, 6).default(1),
  KEY: z.string(),
  NOTE: z.string().optional(),
}

function problemsOf(env: Record<string, string | undefined>): Record<string, string> {
  try {
    readSection('things', env, shape)
  } catch (error) {
    if (error instanceof ConfigError)
      return Object.fromEntries(error.problems.map(({ setting, problem }) => [setting, problem]))
    throw error
  }
  return {}
}

test('a section is read with its defaults, and of the other settings nothing', () => {
  const section = readSection('things', { HOST: 'https://x', KEY: 'k', OTHER: 'o' }, shape)

  expect(section).toEqual({ HOST: 'https://x', CLOUD: 'commercial', HOURS: 1, KEY: 'k' })
})

test('spaces around a value do not count, and an empty value is none', () => {
  const section = readSection(
    'things',
    { HOST: ' https://x\n', KEY: ' k ', CLOUD: '', HOURS: ' 6 ', NOTE: ' ' },
    shape,
  )

  expect(section).toEqual({ HOST: 'https://x', CLOUD: 'commercial', HOURS: 6, KEY: 'k' })
})

test('every problem of a section is named at once, with what is expected and without the value', () => {
  const env = { HOST: 'SECRET', CLOUD: 'SECRET', HOURS: 'SECRET' }

  expect(problemsOf(env)).toEqual({
    HOST: 'is wrong: expected an address',
    CLOUD: 'is wrong: expected one of commercial, gcc',
    HOURS: 'is wrong: expected a whole number from 1 to 6',
    KEY: 'is missing',
  })
  expect(() => readSection('things', env, shape)).toThrow(/^things: (?!.*SECRET)/)
})

test('a Key Vault reference that was not resolved is recognised as one', () => {
  const problems = problemsOf({
    HOST: 'https://x',
    KEY: '@Microsoft.KeyVault(SecretUri=https://v/secrets/SECRET)',
  })

  expect(problems).toEqual({
    KEY: expect.stringMatching(/^is a Key Vault reference that was not resolved(?!.*SECRET)/),
  })
})

test('a Key Vault reference counts even where a setting could be left out', () => {
  const problems = problemsOf({
    HOST: 'https://x',
    KEY: 'k',
    NOTE: '@Microsoft.KeyVault(VaultName=v;SecretName=s)',
  })

  expect(Object.keys(problems)).toEqual(['NOTE'])
})

test('valid settings are read beside wrong, absent and unresolved ones', () => {
  const env = { HOST: ' https://x ', CLOUD: 'moon', NOTE: '@Microsoft.KeyVault(SecretUri=x)' }

  expect(readUsable(env, shape)).toEqual({ HOST: 'https://x', HOURS: 1 })
})

test.each(['0', '7', '-1', '1.5', '1e0', 'six', '0x1', '99999999999'])(
  '%s is no whole number from 1 to 6',
  (text) => {
    expect(wholeNumber(1, 6).safeParse(text).success).toBe(false)
  },
)
