import { argsOf, type Command, wordsOf } from './command.ts'
import { UsageError } from './errors.ts'
import {
  commonOptions,
  listOptions,
  type OptionName,
  type Options,
  splitCommandLine,
} from './options.ts'
import { describeCommand, describeCommands, listCommands } from './usage.ts'

/** What was asked for: a page of help, or a command with its arguments. */
export type CommandLine =
  | { help: string }
  | { command: Command; args: Record<string, string>; options: Options }

/** Understands a command line; throws a `UsageError`. */
export function readCommandLine(argv: string[], commands: readonly Command[]): CommandLine {
  const { values: options, positionals } = splitCommandLine(argv)
  const begun = commands.filter((command) => startsWith(positionals, wordsOf(command)))
  const meant = commands.filter((command) => startsWith(wordsOf(command), positionals))
  if (options.help) return { help: helpOn(begun.length > 0 ? begun : meant, commands) }
  const command = begun[0]
  if (!command) {
    if (positionals.length === 0) throw new UsageError('Say what to do.')
    if (meant.length > 0) throw new UsageError(`Say which:\n${listCommands(meant)}`)
    throw new UsageError(`"${positionals.join(' ')}" is not known here.`)
  }
  const words = wordsOf(command)
  const hint = `npm run relay -- ${words.join(' ')} --help`
  const args = readArgs(command, positionals.slice(words.length), hint)
  const taken = optionsOf(command)
  for (const name of Object.keys(options) as OptionName[]) {
    if (!taken.includes(name))
      throw new UsageError(`--${name} is not for "${words.join(' ')}".`, hint)
  }
  const howMany = [options.limit, options.all, options.follow].filter((one) => one !== undefined)
  if (howMany.length > 1) throw new UsageError('Give one of --limit, --all and --follow.', hint)
  if (options.limit !== undefined && !/^[1-9]\d{0,6}$/.test(options.limit)) {
    throw new UsageError('--limit takes a whole number from 1 to 9999999.', hint)
  }
  return { command, args, options }
}

/** Every option that a command takes. */
export const optionsOf = ({ list, options = [] }: Command): OptionName[] => [
  ...options,
  ...(list ? listOptions : []),
  ...commonOptions,
]

function readArgs(command: Command, given: string[], hint: string): Record<string, string> {
  const names = argsOf(command)
  if (given.length > names.length)
    throw new UsageError(`"${given[names.length]}" is one too many.`, hint)
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
