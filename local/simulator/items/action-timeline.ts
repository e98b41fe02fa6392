import { hourMs, minuteMs, secondMs } from '../moment.ts'
import { createRandom, guid, hexText, type Random } from '../random.ts'
import { createTimeline, type Item, type LifeContext, type Step, type Timeline } from './item.ts'
import {
  machineAction,
  rareActionTypes,
  requestSources,
  usualActionTypes,
} from './machine-action.ts'

/** An action that no device has fetched after this time ends as `TimeOut`. */
const timeOutMs = 72 * hourMs + 14 * minuteMs

/** Of sixteen actions in a row the last three are one request for three devices: they have the same times. */
export const leaderOf = (place: number): number => place - Math.max(0, (place % 16) - 13)

/** The timeline of the machine action with a number, from its creation to its purge. */
export function actionTimeline(place: number, bornMs: number, life: LifeContext): Timeline {
  const { seed, unknownStates, lateSeconds, retentionDays } = life.options
  // What a batch shares comes from its first action; the rest comes from each action's own number.
  const shared = createRandom(seed, leaderOf(place), 41)
  const own = createRandom(seed, place, 42)
  const type = shared.chance(0.9) ? shared.pick(usualActionTypes) : shared.pick(rareActionTypes)
  const ticks = bornMs % 1000 === 0 ? 0 : shared.int(10_000)
  const { first: status, steps } = courseOf(shared, unknownStates)
  const first: Item = {
    id: guid(seed, place, 43),
    type,
    requestor: shared.pick(requestors),
    requestorComment: shared.pick(comments),
    status,
    ...life.subject(place, 44),
    scope: scopeOf(type, shared),
    relatedFileInfo: fileOf(type, shared),
    commands: type === 'LiveResponse' ? commandsOf(shared) : [],
    troubleshootInfo: type === 'Troubleshoot' ? troubleshooting(bornMs) : null,
    externalId: own.chance(0.1) ? guid(seed, place, 45) : null,
    requestSource: place % 16 >= 13 ? 'BulkAction' : shared.pick(requestSources),
  }
  return createTimeline({
    kind: machineAction,
    first,
    steps,
    retentionDays,
    born: { ms: bornMs, ticks },
    lateSeconds: own.chance(0.1) ? own.int(lateSeconds + 1) : 0,
    along: (patch, before, at) => (type === 'LiveResponse' ? movedCommands(patch, before, at) : {}),
  })
}

const requestors = [
  'analyst@contoso.example',
  'Analyst.Two@contoso.example',
  'o.brien@contoso.example',
  'Contoso SOAR',
  '7d0f3c1e-52a4-4b7b-9a53-1c0e7b9e2f44',
] as const

const comments = [
  null,
  'test',
  'Check machine due to alert 3212',
  'Isolate: "urgent" <call 555> & report',
  "it's Müller's laptop 東京 🛡️",
  'line one\nline two',
] as const

/** One course of an action: its first status and the steps after it. */
function courseOf(random: Random, unknownStates: boolean): { first: string; steps: Step[] } {
  const between = (least: number, most: number) => least + random.next() * (most - least)
  const soon = () => between(2 * secondMs, 90 * secondMs)
  const work = () => between(5 * secondMs, 10 * minuteMs)
  const failed = {
    status: 'Failed',
    errorHResult: random.pick([-2147024891, -2147023436, -2147467259]),
  }
  const end = () => (random.chance(0.85) ? { status: 'Succeeded' } : failed)
  const roll = random.next()
  if (unknownStates && random.chance(0.05)) {
    return {
      first: 'Pending',
      steps: [
        [soon(), { status: 'AwaitingDevice' }],
        [work(), end()],
      ],
    }
  }
  if (roll < 0.45)
    return {
      first: 'Pending',
      steps: [
        [soon(), { status: 'InProgress' }],
        [work(), end()],
      ],
    }
  if (roll < 0.55) return { first: 'Pending', steps: [[soon(), end()]] }
  if (roll < 0.6) return { first: 'Failed', steps: [] }
  // The last update changes although the status does not.
  if (roll < 0.68) {
    return {
      first: 'Pending',
      steps: [
        [soon(), { status: 'InProgress' }],
        [work(), {}],
        [work(), {}],
        [work(), end()],
      ],
    }
  }
  // The device is offline for hours or days.
  if (roll < 0.8) {
    const away = between(hourMs, 60 * hourMs)
    return {
      first: 'Pending',
      steps: [
        [away, { status: 'InProgress' }],
        [work(), end()],
      ],
    }
  }
  if (roll < 0.9)
    return { first: 'Pending', steps: [[timeOutMs + soon() / 10, { status: 'TimeOut' }]] }
  const cancelled = {
    status: 'Cancelled',
    cancellationRequestor: random.pick(requestors),
    cancellationComment: random.pick(comments),
  }
  return { first: 'Pending', steps: [[between(minuteMs, 20 * hourMs), cancelled]] }
}

function scopeOf(type: string, random: Random): string | null {
  if (type === 'Isolate') return random.pick(['Full', 'Selective'])
  return type === 'RunAntiVirusScan' ? random.pick(['Quick', 'Full']) : null
}

function fileOf(type: string, random: Random): object | null {
  if (!['StopAndQuarantineFile', 'RequestSample', 'Block'].includes(type)) return null
  const [fileIdentifierType, length] = random.pick([
    ['Sha1', 40],
    ['Sha256', 64],
    ['Md5', 32],
  ])
  return { fileIdentifier: hexText(length, random.int(2 ** 31)), fileIdentifierType }
}

function troubleshooting(bornMs: number): object {
  const time = (ms: number) => new Date(ms).toISOString()
  return {
    expirationUtc: time(bornMs + 4 * hourMs),
    startTsModeUtc: time(bornMs),
    paramsJsonFormatVersion: '1.0',
    state: 'Enabled',
  }
}

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

/** The commands of a live-response action as they were requested. */
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

/** The state of the commands after the action has changed. */
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
