import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium } from 'playwright-core'

/** A browser, or one line that says why there is none and how to get one. */
export type FoundBrowser =
  | { browser: Browser; missing?: undefined }
  | { browser?: undefined; missing: string }

/**
 * Starts a Chromium: the packed one on Linux x64, elsewhere an installed Chrome or Edge, or the program that `CHROME_PATH`
 * names.
 */
export async function findBrowser(): Promise<FoundBrowser> {
  try {
    return { browser: await start() }
  } catch (error) {
    const [reason] = String(error instanceof Error ? error.message : error).split('\n')
    return {
      missing: `No browser here, the page was not opened (${reason}): install Chrome, or on Linux the libraries libnss3, libnspr4 and libexpat1; CHROME_PATH may name a program`,
    }
  }
}

/**
 * The browser for tests. A missing one is an error in CI, where nobody reads that one line, and where `npm test` has just
 * found one.
 */
export async function browserForTests(): Promise<FoundBrowser> {
  const found = await findBrowser()
  const { CI, HAS_BROWSER } = process.env
  if (found.missing !== undefined && (CI === 'true' || HAS_BROWSER === 'true'))
    throw new Error(found.missing)
  return found
}

async function start(): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-dev-shm-usage']
  const { CHROME_PATH } = process.env
  if (CHROME_PATH) return chromium.launch({ executablePath: CHROME_PATH, args })
  if (process.platform === 'linux' && process.arch === 'x64')
    return chromium.launch({ executablePath: await unpacked(), args })
  return chromium
    .launch({ channel: 'chrome', args })
    .catch(() => chromium.launch({ channel: 'msedge', args }))
}

/** The packed program is unpacked once into a folder of this project: elsewhere another version, or another user's, may lie. */
async function unpacked(): Promise<string> {
  const folder = fileURLToPath(
    new URL('../../node_modules/.cache/chromium-147.0.0', import.meta.url),
  )
  if (!existsSync(folder)) {
    mkdirSync(dirname(folder), { recursive: true })
    // Another file of tests may unpack it at the same time: the folder has its name when all is in it.
    const own = mkdtempSync(`${folder}-`)
    await programIn(own)
    try {
      renameSync(own, folder)
    } catch (error) {
      rmSync(own, { recursive: true, force: true })
      if (!existsSync(folder)) throw error
    }
  }
  return programIn(folder)
}

/** The program in a folder, unpacked if it is not there. */
async function programIn(folder: string): Promise<string> {
  const before = process.env.TMPDIR
  process.env.TMPDIR = folder
  try {
    const { default: packed } = await import('@sparticuz/chromium')
    return await packed.executablePath()
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}
