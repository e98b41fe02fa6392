import type { ForcedAnswer } from '../faults.ts'
import type { FaultSwitch } from './switch.ts'

const always = (answer: ForcedAnswer['answer']): ForcedAnswer => ({
  answer,
  calls: Number.POSITIVE_INFINITY,
})
const both = (answer: ForcedAnswer['answer']) => ({
  machineActionsStatus: always(answer),
  investigationsStatus: always(answer),
})
/** Polls fail, with this in their reason, and nothing else is wrong. */
const pollsFail = (problem: string, ...reasons: string[]) => ({
  appear: ['poll failed', ...reasons],
  never: ['poll finished', 'rows rejected', 'too many items would be gone at once'],
  problems: [problem],
})

export const platformSwitches: Record<string, FaultSwitch> = {
  'token-refused': {
    summary: 'No token, AADSTS501051: the missing role and the address are named.',
    faults: { tokenStatus: always(403) },
    expects: pollsFail('no-identity', 'AADSTS501051 from http://', 'session 503 not-configured'),
  },
  'token-endpoint-missing': {
    summary: 'The token endpoint answers 404: it and its address are named.',
    faults: { tokenStatus: always(404) },
    expects: pollsFail('no-identity', '404 from http://', 'session 503 not-configured'),
  },
  'token-endpoint-down': {
    summary: 'The token endpoint answers 503: it answers with errors, and not Defender.',
    faults: { tokenStatus: always(503) },
    expects: pollsFail('unreachable', 'The token endpoint answers with errors', 'session 502'),
  },
  'html-instead-of-json': {
    summary: 'The lists that are polled are the page of a proxy with status 200: it is not JSON.',
    faults: both('html-200'),
    expects: pollsFail('polls-stopped', 'not JSON'),
  },
  'json-cut-off': {
    summary: 'The JSON of the lists that are polled ends early: it is not JSON.',
    faults: both('broken-json'),
    expects: pollsFail('polls-stopped', 'not JSON'),
  },
  'deep-json': {
    summary: 'One row is nested 20,000 deep: it is dropped and counted.',
    faults: both('deep-json'),
    expects: {
      appear: ['poll finished', 'rows rejected'],
      never: ['poll failed'],
      problems: ['rows-rejected'],
    },
  },
  'unknown-encoding': {
    summary: 'Bodies are packed with br: the encoding is named.',
    faults: both('unknown-encoding'),
    expects: pollsFail('polls-stopped', 'in the encoding'),
  },
  'answer-cut-off': {
    summary: 'Answers end in the middle: they are tried again, then the poll fails.',
    faults: both('truncated'),
    expects: pollsFail('unreachable', 'truncated', 'Defender is unreachable'),
  },
  'silent-upstream': {
    summary: 'Calls get no answer: their time limit ends them.',
    faults: both('timeout'),
    expects: pollsFail('unreachable', 'timeout', 'Defender is unreachable'),
  },
}
