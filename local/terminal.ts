import type { Standing } from './app-client.ts'

/** Where progress is shown: standard error, or a test's substitute. */
export interface Screen {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** Lines of the console, and on a terminal a progress bar below them. */
export interface Progress {
  show(standing: Standing): void
  /** Writes a separate line. */
  say(line: string): void
  /** Ends the progress bar; its last state stays visible. */
  end(): void
}

/** A text with commands in the words of the shell in use: PowerShell sets a variable that every program it starts can see. */
export function inThisShell(text: string, env = process.env, platform = process.platform): string {
  // On Windows the variable is always set, and Git Bash sets one of its own.
  const isPowerShell = env.PSModulePath !== undefined && !(platform === 'win32' && env.MSYSTEM)
  if (!isPowerShell) return text
  return text.replaceAll('sh bicep/grants/grant-roles.sh', 'pwsh bicep/grants/grant-roles.ps1')
}

const BAR = 30
const LINE_EVERY_MS = 5000

/** A file that failed and will be tried again. */
const isWaiting = (state: string) =>
  state !== 'imported' && state !== 'failed' && state !== 'importing'

/** Shows a run's progress: a bar on a terminal, otherwise a line every few seconds. */
export function createProgress(screen: Screen): Progress {
  let bar = ''
  let lastLineAt = Number.NEGATIVE_INFINITY
  let lastNews = ''
  return {
    show({ run, rowsPerSecond }) {
      const { imported, listed, parsed } = run.counts
      const waiting = run.files.filter(({ state, reason }) => reason !== null && isWaiting(state))
      const why = [...new Set(waiting.map(({ reason }) => reason))].join(', ')
      const some = waiting.length > 0 ? `, ${waiting.length} waiting: ${why}` : ''
      const all = run.waiting
      const news = `${run.state} ${all?.for}`
      const tail = all ? `, waits until ${all.until.slice(11, 19)} UTC for ${all.for}` : some
      const text = `${run.state}: ${imported}/${listed} files, ${parsed} rows, ${rowsPerSecond} rows/s${tail}`
      if (screen.isTTY) {
        const full = listed > 0 ? Math.round((imported / listed) * BAR) : 0
        // A line that wraps could not be overwritten.
        bar = `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${text}`.slice(
          0,
          (screen.columns || 80) - 1,
        )
        screen.write(`\r\x1b[2K${bar}`)
      } else if (news !== lastNews || performance.now() - lastLineAt >= LINE_EVERY_MS) {
        lastNews = news
        lastLineAt = performance.now()
        screen.write(`${text}\n`)
      }
    },
    say(line) {
      screen.write(bar ? `\r\x1b[2K${line}\n${bar}` : `${line}\n`)
    },
    end() {
      if (bar) screen.write('\n')
      bar = ''
    },
  }
}

/** Characters that may control a terminal or are invisible: control and format characters, unusual line ends, half characters. */
const DANGEROUS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** An untrusted text on one line, with every dangerous character escaped, for example as `\u001b`. */
export const toPlain = (text: string): string => text.replace(DANGEROUS, writeOut)

/** The same for a text of several lines. */
export const toPlainLines = (text: string): string => text.split('\n').map(toPlain).join('\n')

/** The same JSON on one line. Dangerous characters can only be inside its strings, where an escape is valid. */
export const toPlainJson = (json: string): string => toPlain(json.trim().replace(/[\n\r\t]+/g, ' '))

const writeOut = (character: string): string =>
  [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
