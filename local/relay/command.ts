import type { Block } from './blocks.ts'
import type { Answer, Ask } from './client.ts'
import type { OptionName, Options } from './options.ts'

/** What a command was given. */
export interface Given {
  /** By the names in its usage; empty where one was left out. */
  args: Record<string, string>
  options: Options
  /** Asks the app something beforehand. */
  ask(ask: Ask): Promise<Answer>
}

/** One command: a request, and how its answer is shown to a person. */
export interface Command {
  /** As it is typed: its words, then `<needed>` and `[optional]` arguments. */
  usage: string
  summary: string
  /** Beside those that every command, or every list, takes. */
  options?: readonly OptionName[]
  ask(given: Given): Ask | Promise<Ask>
  /** The name of the list in the answer: it is read page by page. */
  list?: string
  /** Whether a 202 is followed to its end; else the 202 is the answer. */
  waits?(options: Options): boolean
  show(body: unknown): Block[]
  /** Whether the answer is good news; else the command ends with 1. */
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
