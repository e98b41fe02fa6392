import { expect, onTestFinished, test, vi } from 'vitest'
import { browserForTests, findBrowser } from './browser.ts'

test.each(['CI', 'HAS_BROWSER'])(
  'where no browser starts, one line says so and how to get one; with %s that is an error',
  async (name) => {
    onTestFinished(() => void vi.unstubAllEnvs())
    vi.stubEnv('CHROME_PATH', '/nowhere/chrome')
    vi.stubEnv('CI', '')
    vi.stubEnv('HAS_BROWSER', '')
    const found = await browserForTests()
    vi.stubEnv(name, 'true')

    expect(found.browser).toBeUndefined()
    expect(found).toEqual(await findBrowser())
    expect(found.missing).toMatch(/^No browser here.*libnss3.*CHROME_PATH[^\n]*$/)
    await expect(browserForTests()).rejects.toThrow(found.missing)
  },
)
