import type { Command } from './command.ts'
import { type OptionName, optionTable } from './options.ts'

const CALL = 'npm run relay --'

/** The page on some commands, or on all. */
export function describeCommands(commands: readonly Command[]): string {
  return [
    `Usage: ${CALL} <command> [options]`,
    '',
    listCommands(commands),
    '',
    'Every command takes --url, --key, --data, --json and --help, lists also --limit, --all and --after. It asks the app that',
    'npm start serves on this machine, or the one that --url or RELAY_URL names, with the function key of --key or RELAY_KEY.',
    'Ends with 0; with 1 when the answer is a problem or no good news; with 2 when the command line is wrong.',
    'Scripts: npm run --silent relay -- … --json',
  ].join('\n')
}

/** A line for each command. */
export const listCommands = (commands: readonly Command[]): string =>
  inColumns(commands.map(({ usage, summary }) => [usage, summary])).join('\n')

/** The page on one command. */
export const describeCommand = (
  { usage, summary }: Command,
  options: readonly OptionName[],
): string =>
  [
    `Usage: ${CALL} ${usage} [options]`,
    '',
    summary,
    '',
    ...inColumns(options.map(describeOption)),
  ].join('\n')

function describeOption(name: OptionName): [string, string] {
  const option: { value?: string; help: string } = optionTable[name]
  return [`--${name}${option.value ? ` ${option.value}` : ''}`, option.help]
}

function inColumns(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
