import type { FaultSwitch } from './switch.ts'

const always = { calls: Number.POSITIVE_INFINITY }
/** Only look-ups are concerned. */
const says = (...appear: string[]) => ({
  appear: ['poll finished', ...appear],
  never: ['poll failed'],
})

export const scansSwitches: Record<string, FaultSwitch> = {
  'tenable-host-list-missing': {
    summary: 'Details count hosts and list none: partial, no counts, asked for again after 30 s.',
    faults: { tenableVariant: 'no-host-list' },
    expects: says('scan 200 completed partial'),
  },
  'tenable-host-list-short': {
    summary: 'Details list half of the hosts: partial, no sums, asked for again after 30 s.',
    faults: { tenableVariant: 'fewer-hosts' },
    expects: says('scan 200 completed partial'),
  },
  'tenable-reindexing': {
    summary: 'Details are being reindexed: partial, asked for again after 30 s.',
    faults: { tenableVariant: 'reindexing' },
    expects: says('scan 200 completed partial'),
  },
  'tenable-run-under-way': {
    summary: 'Every newest run is running, with zeros in its details: no counts and no targets.',
    faults: { tenableVariant: 'running' },
    expects: says('scan 200 running running'),
  },
  'tenable-run-queued': {
    summary: 'Every newest run is queued: pending.',
    faults: { tenableVariant: 'queued' },
    expects: says('scan 200 pending running'),
  },
  'tenable-empty-again': {
    summary: 'Scans with runs have the latest status empty: pending, and the last run is named.',
    faults: { tenableVariant: 'empty-again' },
    expects: says('scan 200 pending running'),
  },
  'tenable-empty-run': {
    summary: 'An empty run stands above the others: pending, and the last run is named.',
    faults: { tenableVariant: 'empty-run' },
    expects: says('scan 200 pending running', 'runs 200 of 3'),
  },
  'tenable-results-removed': {
    summary: 'Runs are 20 months old: their results are no longer held, not even for an export.',
    faults: { tenableVariant: 'removed' },
    expects: says('scan 200 completed archived'),
  },
  'tenable-latest-status-missing': {
    summary: 'The latest status answers 404: the newest run of the list counts.',
    faults: { tenableLatestStatus: { answer: 'not-found', ...always } },
    expects: says('scan 200 completed complete'),
  },
  'tenable-history-null': {
    summary: 'The list of runs is null: no runs.',
    faults: { tenableVariant: 'null-history' },
    expects: says('runs 200 of 0', 'scan 200 completed complete'),
  },
  'tenable-details-failing': {
    summary: 'Details answer 500 and all else works: an error of that scan, Tenable stays ok.',
    faults: { tenableDetailsStatus: { answer: 'server-error', ...always } },
    expects: says('scan 502 upstream-unavailable', 'runs 200 of 2', 'tenable is ok'),
  },
  'tenable-details-silent': {
    summary: 'Details get no answer and all else works: an error of that scan, Tenable stays ok.',
    faults: { tenableDetailsStatus: { answer: 'timeout', ...always } },
    expects: says('scan 504 upstream-timeout', 'runs 200 of 2', 'tenable is ok'),
  },
  'tenable-bad-request': {
    summary: 'Tenable answers 400: the answer says that repeating will not help.',
    faults: { tenableStatus: { answer: 'bad-request', ...always } },
    expects: says('scan 502 upstream-unavailable', 'runs 502 upstream-unavailable'),
  },
  'tenable-routes-gone': {
    summary: 'Every route of Tenable answers 404: an error and status gone, no missing scan.',
    faults: { tenableStatus: { answer: 'no-such-path', ...always } },
    expects: says('scan 502 upstream-unavailable', 'tenable is gone'),
  },
  'defender-scans-bad-request': {
    summary: 'Authenticated scans answer 400: the answer says that repeating will not help.',
    faults: {
      scanHistoryStatus: { answer: 400, ...always },
      scanDefinitionsStatus: { answer: 400, ...always },
    },
    expects: {
      ...says('session 502 upstream-unavailable', 'defender is incompatible'),
      problems: ['incompatible'],
    },
  },
  'defender-scans-gone': {
    summary: 'Every route of authenticated scans answers 404: an error, no empty list.',
    faults: {
      scanHistoryStatus: { answer: 404, ...always },
      scanDefinitionsStatus: { answer: 404, ...always },
    },
    expects: says('session 502 upstream-unavailable', 'network 502 upstream-unavailable'),
  },
  'defender-targets-short': {
    summary: 'Sessions list one of their targets: failed is null, asked for again after 30 s.',
    faults: { defenderScanVariant: 'one-target-listed' },
    expects: says('session 200 completed partial'),
  },
  'defender-definitions-loose': {
    summary: 'Definitions have flags as text, an empty last target, and a latest scan of nulls.',
    faults: { defenderScanVariant: 'loose-definitions' },
    expects: says('network 200 never-run'),
  },
  'defender-windows-scans-retired': {
    summary: 'Windows scans brought nothing since 2025-12-18: reason scan-kind-retired.',
    faults: { defenderScanVariant: 'windows-retired' },
    expects: says('windows 200 failed scan-kind-retired', 'network 200 completed'),
  },
  'scan-answers-deflated': {
    summary: 'Both sources answer in deflate, which the app reads.',
    faults: { scanEncoding: 'deflate' },
    expects: says('scan 200 completed complete', 'session 200 completed complete'),
  },
  'scan-answers-in-unknown-encoding': {
    summary: 'Both sources name an encoding that the app does not know: named as the cause.',
    faults: { scanEncoding: 'zstd' },
    expects: says('scan 502 upstream-changed', 'session 502 upstream-changed', 'zstd'),
  },
}
