import type { Standing } from './app-client.ts'

/** Where progress is shown: standard error, or a stand-in. */
export interface Screen {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** Lines of the console, and below them on a terminal one that moves. */
export interface Progress {
  show(standing: Standing): void
  /** Writes a line of its own. */
  say(line: string): void
  /** The last state stays where it is. */
  end(): void
}

const BAR = 30
const LINE_EVERY_MS = 5000

/** A file that has been tried and is to be tried again. */
const isWaiting = (state: string) =>
  state !== 'imported' && state !== 'failed' && state !== 'importing'

/** Shows a run's progress: a bar that moves on a terminal, a line now and then elsewhere. */
export function createProgress(screen: Screen): Progress {
  let bar = ''
  let lastLineAt = Number.NEGATIVE_INFINITY
  let lastState = ''
  return {
    show({ run, rowsPerSecond }) {
      const { imported, listed, parsed } = run.counts
      const waiting = run.files.filter(({ state, reason }) => reason !== null && isWaiting(state))
      const why = [...new Set(waiting.map(({ reason }) => reason))].join(', ')
      const tail = waiting.length > 0 ? `, ${waiting.length} waiting: ${why}` : ''
      const text = `${run.state}: ${imported}/${listed} files, ${parsed} rows, ${rowsPerSecond} rows/s${tail}`
      if (screen.isTTY) {
        const full = listed > 0 ? Math.round((imported / listed) * BAR) : 0
        // A line that wraps could not be taken back.
        bar = `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ${text}`.slice(
          0,
          (screen.columns || 80) - 1,
        )
        screen.write(`\r\x1b[2K${bar}`)
      } else if (run.state !== lastState || performance.now() - lastLineAt >= LINE_EVERY_MS) {
        lastState = run.state
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

/** What may drive a terminal or hide from the eye: control and format characters, odd line ends, halves of characters. */
const DANGEROUS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A text from outside on one line, each character that is no plain one written out as `\u001b` is. */
export const toPlain = (text: string): string => text.replace(DANGEROUS, writeOut)

/** The same for a text of several lines. */
export const toPlainLines = (text: string): string => text.split('\n').map(toPlain).join('\n')

/** JSON on one line that says the same: what stands raw in it stands in its texts, where it may be written out. */
export const toPlainJson = (json: string): string => toPlain(json.trim().replace(/[\n\r\t]+/g, ' '))

const writeOut = (character: string): string =>
  [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
