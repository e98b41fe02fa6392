import type { FaultSwitch } from './switch.ts'

const once = (answer: 403 | 404) => ({ answer, calls: 1 })
/** A fault that the app bears: polls go on. */
const borne = { appear: ['poll finished'], never: ['poll failed', 'items missing'] }

export const changesSwitches: Record<string, FaultSwitch> = {
  'nameless-links': {
    summary:
      'Links to the next page lose the names of their parameters: the app sets $skip itself.',
    faults: { namelessLinks: true, mostPageRows: 5 },
    expects: borne,
  },
  'moving-list': {
    summary: 'A row leaves a list while its pages are read: pages overlap, none is missed.',
    faults: { leavingRows: 1, mostPageRows: 20 },
    expects: borne,
  },
  'capital-ids': {
    summary: 'Ids are in capitals: the same items, no events.',
    faults: { capitalIds: true },
    expects: borne,
  },
  'times-go-back': {
    summary:
      'Ended actions have an earlier update time: believed after three polls over five minutes.',
    faults: { earlyEndSeconds: 3600 },
    expects: borne,
  },
  'unknown-open-items': {
    summary: 'No open item is known any more: none is gone, and status and log have the numbers.',
    faults: { unknownOpenItems: true },
    expects: {
      appear: ['items missing'],
      never: ['poll failed', 'rows rejected'],
      problems: ['items-missing'],
    },
  },
  'refused-once': {
    summary: 'One 403: the call is repeated with a new token, and the poll succeeds.',
    faults: { machineActionsStatus: once(403) },
    expects: borne,
  },
  'list-404-once': {
    summary: 'A list answers 404 once: that poll fails, and no route counts as retired.',
    faults: { machineActionsStatus: once(404) },
    expects: { appear: ['poll failed'], never: ['route-gone'] },
  },
  'live-responses': {
    summary: 'Every action is a live response: events have its commands, without their arguments.',
    faults: { liveResponses: true },
    expects: borne,
  },
  'ignored-filter': {
    summary:
      'Lists have every item, whatever was asked for: rows outside the question are dropped.',
    faults: { ignoredFilter: true },
    expects: borne,
  },
  'cached-lists': {
    summary: 'Lists are an hour old: a step back is believed only when a request by id shows it.',
    faults: { cachedListSeconds: 3600 },
    expects: borne,
  },
  'unreadable-times': {
    summary: 'Creation times are words: null, and counted.',
    faults: { creationWords: true },
    expects: { appear: ['rows rejected'], never: ['poll failed'], problems: ['rows-rejected'] },
  },
  'long-comments': {
    summary: 'Comments have 20,000 characters: cut, and named in fieldsCut.',
    faults: { longComments: true },
    expects: borne,
  },
}
