import { runRelay, type Terminal } from '../../local/relay/run-relay.ts'

/** The result of a command line. */
export interface Typed {
  code: number
  out: string
  err: string
}

/** Runs `npm run relay -- …` in this process, without environment and terminal unless the test sets them. */
export async function typeRelay(argv: string[], terminal: Partial<Terminal> = {}): Promise<Typed> {
  const typed = { out: '', err: '' }
  const code = await runRelay(argv, {
    env: {},
    from: '/nowhere',
    width: undefined,
    out(text) {
      typed.out += `${text}\n`
    },
    err(text) {
      typed.err += `${text}\n`
    },
    input: async () => '',
    sleep: async () => {},
    ...terminal,
  })
  return { code, ...typed }
}

/** The lines of a table as cells; columns are two spaces apart. */
export const cellsOf = (text: string): string[][] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/))
