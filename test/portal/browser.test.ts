import { expect, test, vi } from 'vitest'
import { browserForTests, findBrowser } from './browser.ts'

test('where no browser starts, one line says so and how to get one; in CI that is an error', async () => {
  vi.stubEnv('CHROME_PATH', '/nowhere/chrome')
  vi.stubEnv('CI', '')
  const found = await browserForTests()
  vi.stubEnv('CI', 'true')

  expect(found.browser).toBeUndefined()
  expect(found).toEqual(await findBrowser())
  expect(found.missing).toMatch(/^No browser here.*libnss3.*CHROME_PATH[^\n]*$/)
  await expect(browserForTests()).rejects.toThrow(found.missing)
})
