import { posix } from 'node:path'
import { splitProse, type Tree } from './house-source.ts'

/** A word that is no longer used. */
interface GoneWord {
  /** A regular expression for a whole identifier, a whole file name without ending, or words of prose. */
  pattern: string
  /** What to write instead. */
  use: string
  /** The paths in which it is forbidden; all when absent. Some words are right in other folders. */
  in?: RegExp
}

const words = (list: Record<string, string>, where?: RegExp): GoneWord[] =>
  Object.entries(list).map(([pattern, use]) => ({ pattern, use, in: where }))

const DEPLOYED = /^(?:functions|shared)\//

/** Identifiers that are gone. */
const identifiers: GoneWord[] = [
  ...words({
    '\\w*Watch': 'PollContext, PollState, readPollState, UpstreamHealth',
    '[Ww]atchfulness': 'heartbeat',
    heed: 'observe',
    '\\w*Look': 'PollResult, FlowCheck',
    'lookAt\\w*': 'checkX',
    'tell|tell[A-Z]\\w*': 'emit',
    'told|\\w+Told': 'sent, reported, isExpectedError, overdueSent',
    '\\w+Parts': '…Deps',
    Given: 'Options, or the name of the thing',
    Kept: 'Stored, WithEtag',
    'TableRefusal|isTableRefusal': 'TableConflict, isConflict',
    putSee: 'putAlias',
    'judge\\w*': 'validateX, decideX',
    'owe|owed\\w*|\\w+Owed\\w*|\\w+Owes': 'pending, enqueue',
    isNews: 'isCurrent',
    'bury\\w*': 'deadLetter, handlePoison',
    'takeTurn\\w*': 'acquireSendLease',
    postingUntil: 'sendUntil',
    'slowLane\\w*|SLOW_LANE\\w*': 'retryQueue',
    'note(?:Success|Failure|Gone)': 'recordSuccess, recordFailure, recordGone',
    'remed(?:y|ies)': 'fix, fixes',
    Trouble: 'Finding',
    bystanders: 'ignoredFields',
    gathered: 'nested',
    'doubted\\w*': 'unconfirmedState',
    'MOST_\\w+|\\w+_MOST': 'MAX_…',
    shelf: 'store',
    'spell[A-Z]\\w*': 'encodeX',
    'trueDevice\\w*|TrueDevice\\w*': 'ExpectedDevice',
    'beliefs?': 'expectations',
    fate: 'faultInjector',
  }),
  ...words(
    {
      'kept|\\w+Kept': 'stored',
      given: 'options, or the name of the thing',
      Refusal: 'ConflictReason',
      firstChunk: 'peek',
      usable: 'tryLoad',
      Part: 'Loaded',
      Place: 'StreamPosition, UrlClaim',
      most: 'max',
      Most: 'max',
      redeem: 'resolve',
      Reading: 'Continuation',
      Question: 'Query',
      Found: 'Fetched',
      isDue: 'isAddressedTo',
    },
    DEPLOYED,
  ),
  ...words(
    {
      'desk|lane\\w*|place\\w*': 'limiter, priority, token',
      'attend|refill': 'drain, reserveMore',
      'person|poll': 'interactive, background',
    },
    /^shared\/platform\/budget/,
  ),
  ...words({ 'renew|requeue|round': 'redeliver, redeliverAll, generation' }, /^shared\/events\//),
  ...words(
    { 'see|miss|leave': 'alias, markMissing, prune' },
    /^shared\/(?:changes|scan-history)\//,
  ),
  ...words({ isRefusal: 'isConflict' }, /^shared\/platform\/(?:azure-)?table/),
  // The name of an operating system elsewhere.
  ...words({ oracle: 'referenceModel' }, /^test\//),
  ...words({ desk: 'issuer', door: 'auth' }, /^(?:test\/)?local\//),
]

/** File names that are gone, without endings. */
const files: GoneWord[] = words({
  '(?:.+-)?watch': 'upstream-health, poll-state',
  watchfulness: 'heartbeat',
  parts: 'deps',
  'refusals?': 'http-problems, error-responses',
  'find-(?:owed|start|since)': 'load-delivery, read-start, read-since',
  'judge(?:-.+)?': 'validate, decide',
  'bury(?:-.+)?': 'dead-letter',
  '(?:.+-)?slow-lane': 'retry-queue',
  'preflight-remedies': 'fixes',
  'shelf|.+-shelf': 'store',
  'desk|.+-desk': 'issuers',
  door: 'auth',
  'spell(?:-.+)?': 'encode',
  'tell-.+': 'timeline',
  'true-device': 'expected-device',
  fate: 'fault-injector',
  beliefs: 'expectations',
  audience: 'recorder',
  turns: 'scheduler',
  oracle: 'reference-model',
})

/** Words that are not used in comments, texts and documents. */
const prose: GoneWord[] = words({
  anew: 'again',
  'whoever|whomever|whosoever': 'the caller, the one who',
  'mend(?:s|ed|ing)?': 'fix',
  'fares?|fared': 'the state of',
  'heed(?:s|ed|ing)?': 'observe',
  'none of ours': 'unknown',
  'by chance': 'random',
  'by turns': 'alternately, in rotation',
  '(?:is|are|was|were|be|been) told': 'is sent, gets, is logged',
  'told of': 'reported',
  'tells? of': 'says, reports',
  'ow(?:e|es|ed|ing)': 'pending',
  'bur(?:y|ies|ied)': 'dead-letter',
  'slow lane': 'retry queue',
  'judg(?:e|es|ed|ing)': 'check, validate, decide',
  'remed(?:y|ies)': 'fix',
  'to be had': 'available',
  watchfulness: 'monitoring, heartbeat',
  'line (?:of the )?`?watch`?': 'line heartbeat',
  'takes? (?:its|their|his) turn|has its turn': 'comes next',
  'comes? about': 'happens',
})

/** The code and the prose of a file; documents and templates are prose as a whole. */
function separate(path: string, text: string): { code: string; prose: string } {
  if (/\.[cm]?[jt]s$/.test(path)) return splitProse(text)
  return { code: '', prose: text }
}

/** The list itself, and the tests that show what it finds. */
const LISTS = /^test\/words(?:\.test)?\.ts$/

/** Names every gone word in a tree: the file, the line (1 is the first), the word, and what to use in its place. */
export function findGoneWords(tree: Tree): string[] {
  return Object.entries(tree).flatMap(([path, whole]) => {
    if (LISTS.test(path)) return []
    const { code, prose: text } = separate(path, whole)
    return [
      ...findFileName(path),
      ...find(path, code, identifiers, '(?<![\\w$]|Math\\.)(?:', ')(?![\\w$])', ''),
      ...find(path, text, prose, '(?<![\\w-])(?:', ')(?![\\w-])', 'i'),
    ]
  })
}

function findFileName(path: string): string[] {
  const name = posix.basename(path).replace(/(?:\.test)?\.\w+$/, '')
  return files
    .filter(({ pattern }) => new RegExp(`^(?:${pattern})$`).test(name))
    .map(({ use }) => `${path}: the file name "${name}" is gone; use: ${use}`)
}

function find(
  path: string,
  text: string,
  list: GoneWord[],
  before: string,
  after: string,
  flags: string,
): string[] {
  return list
    .filter((word) => word.in?.test(path) ?? true)
    .flatMap(({ pattern, use }) =>
      [...text.matchAll(new RegExp(`${before}${pattern}${after}`, `g${flags}`))].map(
        ({ 0: word, index }) =>
          `${path}:${text.slice(0, index).split('\n').length}: "${word}" is gone; use: ${use}`,
      ),
    )
}
