import { expect, onTestFinished, test, vi } from 'vitest'
import { browserForTests, findBrowser } from './browser.ts'

const needed = [
  ['CI', 'HAS_BROWSER'],
  ['HAS_BROWSER', 'CI'],
] as const

test.each(needed)(
  'where no browser starts, one line says so and how to get one; with %s that is an error',
  async (name, other) => {
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('CHROME_PATH', '/nowhere/chrome')
    vi.stubEnv(name, '')
    vi.stubEnv(other, '')
    const found = await browserForTests()
    vi.stubEnv(name, 'true')

    expect(found.browser).toBeUndefined()
    expect(found).toEqual(await findBrowser())
    expect(found.missing).toMatch(/^No browser here.*libnss3.*CHROME_PATH[^\n]*$/)
    await expect(browserForTests()).rejects.toThrow(found.missing)
  },
)
