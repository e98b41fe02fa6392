import type { Random } from '../random.ts'
import type { Item } from './item-kind.ts'

interface Command {
  index: number
  startTime: string | null
  endTime: string | null
  commandStatus: string
  errors: string[]
  command: { type: string; params: { key: string; value: string }[] }
}

const params: Record<string, Command['command']['params']> = {
  PutFile: [{ key: 'FileName', value: 'collect & "pack".ps1' }],
  GetFile: [{ key: 'Path', value: 'C:\\Users\\büro\\notes.txt' }],
  RunScript: [
    { key: 'ScriptName', value: 'collect.ps1' },
    { key: 'Args', value: '-Deep' },
  ],
  RunPowerShell: [{ key: 'Command', value: 'Get-Process' }],
}

/** The commands of a live-response action as they are ordered. */
export function commandsOf(random: Random): Command[] {
  const count = 1 + random.int(3)
  return Array.from({ length: count }, (_, index) => {
    const type = random.pick(['PutFile', 'RunScript', 'GetFile', 'RunPowerShell'])
    return {
      index,
      startTime: null,
      endTime: null,
      commandStatus: 'Created',
      errors: [],
      command: { type, params: params[type] ?? [] },
    }
  })
}

/** How far the commands are once the action has moved on. */
export function movedCommands(
  { status }: Record<string, unknown>,
  before: Item,
  at: string,
): Record<string, unknown> {
  const commands = (before.commands as Command[]).map((command): Command => {
    if (status === 'InProgress') {
      const isFirst = command.index === 0
      return {
        ...command,
        startTime: isFirst ? at : null,
        commandStatus: isFirst ? 'Executing' : 'Submitted',
      }
    }
    const startTime = command.startTime ?? at
    if (status === 'Succeeded')
      return { ...command, startTime, endTime: at, commandStatus: 'Completed' }
    if (status === undefined) return command
    return {
      ...command,
      startTime,
      endTime: at,
      commandStatus: 'Failed',
      errors: ['The device did not answer.'],
    }
  })
  return { commands }
}
