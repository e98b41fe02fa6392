import { parseArgs } from 'node:util'
import { whatIsWrong } from '../options.ts'
import { type Answer, type Ask, UsageError } from './client.ts'
import type { Block } from './format.ts'
import { commonOptions, listOptions, type OptionName, optionTable } from './option-table.ts'

/** The input of a command. */
export interface CommandInput {
  /** By the names in its usage; empty for an argument that was left out. */
  args: Record<string, string>
  options: Options
  /** Calls the app before the request of the command. */
  ask(ask: Ask): Promise<Answer>
}

/** One command: a request, and how its answer is shown to a person. */
export interface Command {
  /** Its words, then `<required>` and `[optional]` arguments. */
  usage: string
  summary: string
  /** Besides the options that every command, or every list, takes. */
  options?: readonly OptionName[]
  ask(input: CommandInput): Ask | Promise<Ask>
  /** The name of the list in the answer: it is read page by page. */
  list?: string
  /** What an empty list means whose answer has `isKnown: false`. */
  notKnown?: string
  /** Whether the list can be written to a file as CSV. */
  csv?: boolean
  /** Whether a 202 is followed until the final answer; otherwise the 202 is the answer. */
  waits?(options: Options): boolean
  show(body: unknown): Block[]
  /** Whether the answer is a success; otherwise the command ends with 1. */
  isGood?(body: unknown): boolean
}

/** The words of a command, without its arguments. */
export const wordsOf = ({ usage }: Command): string[] =>
  usage.split(' ').filter((word) => /^[a-z]/.test(word))

/** The arguments of a command in order. */
export const argsOf = ({ usage }: Command): { name: string; isNeeded: boolean }[] =>
  [...usage.matchAll(/([<[])(\w+)[>\]]/g)].map(([, bracket, name = '']) => ({
    name,
    isNeeded: bracket === '<',
  }))

/** A help page, or a command with its arguments. */
export type CommandLine =
  | { help: string }
  | { command: Command; args: Record<string, string>; options: Options }

/** Parses a command line; throws a `UsageError`. */
export function readCommandLine(argv: string[], commands: readonly Command[]): CommandLine {
  const { values: options, positionals } = splitCommandLine(argv)
  const begun = commands.filter((command) => startsWith(positionals, wordsOf(command)))
  const meant = commands.filter((command) => startsWith(wordsOf(command), positionals))
  if (options.help) return { help: helpOn(begun.length > 0 ? begun : meant, commands) }
  const command = begun[0]
  if (!command) {
    if (positionals.length === 0) throw new UsageError('No command.')
    if (meant.length > 0) throw new UsageError(`Which command?\n${listCommands(meant)}`)
    throw new UsageError(`"${positionals.join(' ')}" is unknown.${suggest(positionals, commands)}`)
  }
  const words = wordsOf(command)
  const hint = `npm run relay -- ${words.join(' ')} --help`
  const args = readArgs(command, positionals.slice(words.length), hint)
  const taken = optionsOf(command)
  for (const name of Object.keys(options) as OptionName[]) {
    if (!taken.includes(name))
      throw new UsageError(`--${name} is not for "${words.join(' ')}".`, hint)
  }
  const howMany = [options.limit, options.all, options.follow, options.csv].filter(
    (one) => one !== undefined,
  )
  if (howMany.length > 1)
    throw new UsageError('Give one of --limit, --all, --follow and --csv.', hint)
  if (options.limit !== undefined && !/^[1-9]\d{0,6}$/.test(options.limit)) {
    throw new UsageError('--limit takes a whole number from 1 to 9999999.', hint)
  }
  return { command, args, options }
}

/** Words of other tools. */
const synonyms: Record<string, string> = {
  get: 'show',
  describe: 'show',
  view: 'show',
  ls: 'list',
  rm: 'delete',
  remove: 'delete',
  add: 'create',
  new: 'create',
}

/** The nearest command, or the commands of the nearest group; an empty text when nothing is near. */
function suggest(typed: string[], commands: readonly Command[]): string {
  const nearest = (index: number, among: readonly Command[]) => {
    const word = synonyms[typed[index] ?? ''] ?? typed[index] ?? ''
    const typos = among.map((command) => countTypos(word, wordsOf(command)[index] ?? ''))
    const fewest = Math.min(...typos)
    // Words that differ by more are other words.
    const isNear = fewest <= (word.length > 4 ? 2 : 1)
    return among.filter((_, at) => isNear && typos[at] === fewest)
  }
  const group = nearest(0, commands)
  if (group.length === 0) return ''
  const [one] = group.length > 1 ? nearest(1, group) : group
  return one ? `\nDid you mean "${one.usage}"?` : `\nWhich command?\n${listCommands(group)}`
}

/** How many characters have to be added, removed, changed, or swapped with the next one. */
function countTypos(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)]
  const at = (line: number, column: number) => rows[line]?.[column] ?? Number.POSITIVE_INFINITY
  for (let line = 1; line <= one.length; line++) {
    const row = [line]
    rows.push(row)
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[line - 1] === other[column - 1]
      const isSwapped = one[line - 1] === other[column - 2] && one[line - 2] === other[column - 1]
      row.push(
        Math.min(
          at(line - 1, column - 1) + (isSame ? 0 : 1),
          at(line - 1, column) + 1,
          at(line, column - 1) + 1,
          isSwapped ? at(line - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
  }
  return at(one.length, other.length)
}

/** Every option that a command takes. */
export const optionsOf = ({ list, csv, options = [] }: Command): OptionName[] => [
  ...options,
  ...(list ? listOptions : []),
  ...(csv ? (['csv'] as const) : []),
  ...commonOptions,
]

function readArgs(command: Command, given: string[], hint: string): Record<string, string> {
  const names = argsOf(command)
  if (given.length > names.length)
    throw new UsageError(`"${given[names.length]}" is one argument too many.`, hint)
  const args = names.map(({ name, isNeeded }, index) => {
    const value = given[index]
    if (value === undefined && isNeeded) throw new UsageError(`<${name}> is missing.`, hint)
    return [name, value ?? ''] as const
  })
  return Object.fromEntries(args)
}

function helpOn(found: Command[], commands: readonly Command[]): string {
  const [one, ...others] = found
  if (one && others.length === 0) return describeCommand(one, optionsOf(one))
  return describeCommands(found.length > 0 ? found : commands)
}

const startsWith = (whole: string[], part: string[]): boolean =>
  part.every((word, index) => whole[index] === word)

const CALL = 'npm run relay --'

/** The help page of several commands, or of all. */
export function describeCommands(commands: readonly Command[]): string {
  return [
    `Usage: ${CALL} <command> [options]`,
    '',
    listCommands(commands),
    '',
    'Every command takes --url, --key, --data, --json and --help; lists also take',
    '--limit, --all and --after. Commands call the local app of npm start, or the app',
    'of --url or RELAY_URL with the function key of --key or RELAY_KEY.',
    'Exit code: 0 for success, 1 for a problem or a failure, 2 for wrong usage.',
    'Scripts: npm run --silent relay -- … --json',
  ].join('\n')
}

/** A list of commands, each with its summary. */
export const listCommands = (commands: readonly Command[]): string =>
  inColumns(commands.map(({ usage, summary }) => [usage, summary])).join('\n')

/** The help page of one command. */
export const describeCommand = (
  { usage, summary }: Command,
  options: readonly OptionName[],
): string =>
  [
    `Usage: ${CALL} ${usage} [options]`,
    '',
    ...wrap(summary, LINE_WIDTH),
    '',
    ...inColumns(options.map(describeOption)),
  ].join('\n')

function describeOption(name: OptionName): [string, string] {
  const option: { value?: string; help: string } = optionTable[name]
  return [`--${name}${option.value ? ` ${option.value}` : ''}`, option.help]
}

const LINE_WIDTH = 80

/** Two columns; the texts of the right one are wrapped. */
function inColumns(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.flatMap(([left, right]) =>
    wrap(right, LINE_WIDTH - width - 4).map(
      (line, index) => `  ${(index === 0 ? left : '').padEnd(width)}  ${line}`,
    ),
  )
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

/** Splits a command line into options and the rest; throws a `UsageError`. */
export function splitCommandLine(args: string[]) {
  try {
    return parseArgs({ args, allowPositionals: true, options: optionTable })
  } catch (error) {
    throw new UsageError(whatIsWrong(error as Error))
  }
}

/** The options that were typed. */
export type Options = ReturnType<typeof splitCommandLine>['values']
