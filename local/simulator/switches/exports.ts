import type { FaultSwitch } from './switch.ts'

/** Every row of the export has one thing that can't be read. */
const unreadable = (form: string) =>
  `the export writes ${form}: the run fails with the guard "unreadable", and the snapshot before stays`

const next = { changeGeneratedTime: true }
const fails = {
  appear: ['export run ended'],
  never: ['export run published', 'poll failed'],
  problems: ['run-failed'],
}
const publishes = (...appear: string[]) => ({
  appear: ['export run published', ...appear],
  never: ['export run ended', 'poll failed'],
})

export const exportsSwitches: Record<string, FaultSwitch> = {
  'export-role-missing-once': {
    summary:
      'the list of files answers 403 once: a snapshot by pages, and the older export afterwards is `unchanged`',
    faults: { exportStatus: { answer: 403, calls: 2 } },
    expects: publishes('export files are not available', '"code":"export-by-pages"'),
  },
  'export-list-500': {
    summary:
      'the list of files answers 500: the run tries it six times over some minutes, then fails with that reason',
    faults: { exportStatus: { answer: 500, calls: Number.POSITIVE_INFINITY } },
    expects: { ...fails, problems: ['run-failed', 'unreachable'] },
  },
  'export-single-quotes': {
    summary: unreadable('its antivirus data with single quotes'),
    faults: { ...next, spoiledRows: { how: 'single-quotes', every: 1 } },
    expects: fails,
  },
  'export-cut-off-json': {
    summary: unreadable('antivirus data that ends in the middle'),
    faults: { ...next, spoiledRows: { how: 'cut-off', every: 1 } },
    expects: fails,
  },
  'export-mode-names': {
    summary: unreadable('"Active" in place of the number of a mode'),
    faults: { ...next, spoiledRows: { how: 'mode-names', every: 1 } },
    expects: fails,
  },
  'export-flag-words': {
    summary: unreadable('"Yes" in place of true'),
    faults: { ...next, spoiledRows: { how: 'flag-words', every: 1 } },
    expects: fails,
  },
  'export-local-times': {
    summary: unreadable('times as 11/28/2026 8:00:00 AM'),
    faults: { ...next, spoiledRows: { how: 'local-times', every: 1 } },
    expects: fails,
  },
  'export-scan-lists': {
    summary: unreadable('scan results as a list'),
    faults: { ...next, spoiledRows: { how: 'scan-lists', every: 1 } },
    expects: fails,
  },
  'export-few-unreadable': {
    summary:
      'one row of 300 names its mode: the snapshot is published, and a warning counts the field',
    faults: { ...next, spoiledRows: { how: 'mode-names', every: 300 } },
    expects: publishes('fields unreadable', '"code":"fields-unreadable"'),
  },
  'export-windows-settings': {
    summary: 'rows have SchUseStrongCrypto and LTSC settings: known, nothing is counted as unknown',
    faults: { ...next, spoiledRows: { how: 'windows-settings', every: 1 } },
    expects: publishes(),
  },
  'export-empty-file': {
    summary:
      'the largest file is empty: below 80 % of the devices before, the run fails with the guard "devices"',
    faults: { ...next, emptyFiles: 1 },
    expects: fails,
  },
  'export-no-devices': {
    summary:
      'every file is empty: the run fails with the guard "devices", and the snapshot before stays',
    faults: { ...next, emptyFiles: 1000 },
    expects: fails,
  },
  'export-csv': {
    summary: 'the files are CSV: the run fails, and its reason names the first rejected line',
    faults: { ...next, fileForm: 'csv' },
    expects: fails,
  },
  'export-zip': {
    summary:
      'the files are ZIP archives: the run fails with the guard "rejected" or a damaged file',
    faults: { ...next, fileForm: 'zip' },
    expects: fails,
  },
  'export-links-elsewhere': {
    summary:
      'links lead to another host: they are renewed once, then the run fails and names the host',
    faults: { ...next, linkOrigin: 'https://files.example.net' },
    expects: fails,
  },
}
