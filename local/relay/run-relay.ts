import { appendFile, rename, rm, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { findSwallowed } from '../options.ts'
import { toPlainLines } from '../terminal.ts'
import {
  type Answer,
  type Ask,
  ask,
  askCsv,
  findTarget,
  follow,
  RelayError,
  type Target,
  UsageError,
} from './client.ts'
import { type Command, type CommandInput, type Options, readCommandLine } from './command-line.ts'
import { commands } from './commands/index.ts'
import { formatBlocks, isRecord, pick, pickList, pickText } from './format.ts'
import { optionTable } from './option-table.ts'

/** The terminal and the process of a command. */
export interface Terminal {
  env: Record<string, string | undefined>
  /** The folder that relative paths start from. */
  from: string
  /** Characters of a line; undefined when the output is not a terminal. */
  width: number | undefined
  /** Write one or more whole lines. */
  out(text: string): void
  err(text: string): void
  /** All of standard input. */
  input(): Promise<string>
  sleep(ms: number): Promise<void>
}

const USUAL_LIMIT = 100
const LARGEST_PAGE = 1000
const FOLLOW_MS = 5000

/** Runs one command; returns the exit code: 0, 1 for a problem, 2 for a wrong command line. */
export async function runRelay(argv: string[], terminal: Terminal): Promise<number> {
  try {
    const swallowed = findSwallowed('relay', Object.keys(optionTable), argv, terminal.env)
    if (swallowed?.isSure) throw new UsageError(swallowed.sentence)
    if (swallowed) terminal.err(swallowed.sentence)
    const line = readCommandLine(argv, commands)
    if ('help' in line) {
      terminal.out(line.help)
      return 0
    }
    const { command, args, options } = line
    const given: Record<string, unknown>[] = [args, options]
    for (const values of given)
      for (const [name, value] of Object.entries(values))
        if (value === '-') values[name] = (await terminal.input()).trim()
    const target = await findTarget(options, terminal.env, terminal.from)
    const safe = withoutKey(terminal, target)
    try {
      const input: CommandInput = {
        args,
        options,
        ask: (one) => ask(target, one, (path) => nameInput(path, one, line)),
      }
      if (options.csv !== undefined) {
        const next = (one: Ask) => askCsv(target, one, (path) => nameInput(path, one, line))
        return await writeCsv(
          resolve(terminal.from, options.csv),
          await command.ask(input),
          next,
          safe,
        )
      }
      return await (command.list ? readPages : askOnce)(command, input, safe)
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
      if (options.json && error.json) safe.out(error.json)
      safe.err(error.message)
      return 1
    }
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof RelayError)) throw error
    terminal.err(toPlainLines(error.message))
    return error instanceof UsageError ? 2 : 1
  }
}

/** What was typed for a part of the request, such as `--since` for `query.since`. */
function nameInput(
  path: string,
  { query = {}, body }: Ask,
  { args, options }: Pick<CommandInput, 'args' | 'options'>,
): string {
  const [place = '', name = '', ...rest] = path.split('.')
  if (place === 'path') {
    const [only, ...others] = Object.keys(args)
    const found = name in args ? name : others.length === 0 ? only : undefined
    return found ? `<${found}>` : path
  }
  if (name in args) return `<${name}>`
  const sent: Record<string, unknown> = place === 'query' ? query : { ...(body as object) }
  const found =
    name in options
      ? name
      : Object.entries(options).find(
          ([, value]) => value !== undefined && value === sent[name],
        )?.[0]
  return found ? [`--${found}`, ...rest].join(' ') : path
}

/** Escapes control characters and hides the key in everything that is written, for any answer of an app. */
function withoutKey(terminal: Terminal, { key }: Target): Terminal {
  const clean = (text: string) => toPlainLines(text).replaceAll(key, '***')
  return {
    ...terminal,
    out: (text) => terminal.out(clean(text)),
    err: (text) => terminal.err(clean(text)),
  }
}

async function askOnce(command: Command, input: CommandInput, terminal: Terminal): Promise<number> {
  let answer = await input.ask(await command.ask(input))
  let last = ''
  while (answer.status === 202 && command.waits?.(input.options)) {
    const state = pickText(answer.body, 'state') || 'not finished'
    const cause = pickText(answer.body, 'waiting.for')
    const until = pickText(answer.body, 'waiting.until')
    const now = `${state}: ${cause ? `waits for ${cause}, until ${until}` : 'waiting …'}`
    if (now !== last) terminal.err(now)
    last = now
    if (answer.location === null) throw new RelayError('The app answered 202 without a Location.')
    await terminal.sleep(answer.retryAfterMs)
    answer = await follow(answer.location)
  }
  show(command, input.options, answer, terminal, true)
  return command.isGood?.(answer.body) === false ? 1 : 0
}

async function readPages(
  command: Command,
  input: CommandInput,
  terminal: Terminal,
): Promise<number> {
  const { options } = input
  const name = command.list ?? ''
  const first = await command.ask(input)
  let left =
    options.all || options.follow ? Number.POSITIVE_INFINITY : Number(options.limit ?? USUAL_LIMIT)
  let query: Ask['query'] = { after: options.after, ...first.query }
  for (let isFirst = true; ; isFirst = false) {
    const limit = String(Math.min(left, LARGEST_PAGE))
    const answer = await input.ask({ ...first, query: { ...query, limit } })
    const rows = pickList(answer.body, name)
    if (!isRecord(answer.body) || !Array.isArray(pick(answer.body, name)))
      throw new RelayError(`The answer has no ${name}.`)
    const isWorthIt = rows.length > 0 || (isFirst && !options.follow)
    if (isWorthIt) show(command, options, answer, terminal, isFirst)
    left -= rows.length
    const next = pickText(answer.body, 'next')
    const isEnd = next === '' || pick(answer.body, 'more') === false
    if (isEnd && !options.follow) return 0
    if (left <= 0) {
      if (!options.json) terminal.err(`There is more: --all, or --after ${next}`)
      return 0
    }
    if (isEnd) await terminal.sleep(FOLLOW_MS)
    // The API takes either a time to start from or a cursor.
    query = { ...query, since: undefined, after: next }
  }
}

/** The largest page of CSV. */
const CSV_ROWS = '10000'

/** Writes a list to a file, page by page; the file is there when all of it is. */
async function writeCsv(
  file: string,
  first: Ask,
  askPage: (ask: Ask) => ReturnType<typeof askCsv>,
  terminal: Terminal,
): Promise<number> {
  const part = `${file}.${process.pid}.part`
  let query: Ask['query'] = { ...first.query, format: 'csv', limit: CSV_ROWS }
  // Excel takes UTF-8 for it by this mark.
  let head = '\ufeff'
  try {
    await writeFile(part, head, { flag: 'wx', mode: 0o600 })
    for (;;) {
      const { text, next } = await askPage({ path: first.path, query })
      // Every page has the line of the names.
      await appendFile(part, head === '' ? text.slice(text.indexOf('\r\n') + 2) : text)
      head = ''
      if (next === undefined) break
      query = Object.fromEntries(new URL(next, 'http://localhost').searchParams)
    }
    await rename(part, file)
  } catch (error) {
    await rm(part, { force: true })
    if (error instanceof RelayError || !(error instanceof Error)) throw error
    throw new RelayError(`${file} can't be written: ${error.message}`)
  }
  terminal.err(`Written: ${file}`)
  return 0
}

function show(
  command: Command,
  options: Options,
  answer: Answer,
  terminal: Terminal,
  isFirst: boolean,
): void {
  if (options.json) {
    if (answer.json) terminal.out(answer.json)
    return
  }
  const { list, notKnown } = command
  const lines = formatBlocks(command.show(answer.body), { isFirst, width: terminal.width })
  if (lines.length > 0) terminal.out(lines.join('\n'))
  else if (notKnown && pick(answer.body, 'isKnown') === false) terminal.err(notKnown)
  else terminal.err(list ? `No ${list}.` : 'Done.')
}
