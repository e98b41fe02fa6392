import { dayMs, hourMs, minuteMs, momentAt, utcText } from '../moment.ts'
import type { NewDefinition, NewSession } from './defender-scan.ts'
import type { NewTenableScan } from './tenable-scan.ts'

/** One scan of each kind, with the same ids each time; times are counted from the last midnight. */
export function sampleScans(now: Date) {
  // So that a restart on the same day shows the same runs.
  const midnightMs = Math.floor(now.getTime() / dayMs) * dayMs
  const ago = (ms: number) => utcText(momentAt(midnightMs - ms))
  const soon = (ms: number) => new Date(now.getTime() + ms).toISOString()
  const startedAt = ago(2 * hourMs)
  const [network, windows, idle] = sampleDefinitions
  const [good, partial, bad] = sampleSessions
  const lastScanned = (ms: number) => ago(ms).replace('Z', '.5561791Z')

  const tenable: NewTenableScan[] = [
    {
      id: 101,
      name: 'Weekly servers',
      runs: [21, 14, 7, 0].map((days) => ({ startedAt: ago(days * dayMs + hourMs) })),
    },
    { id: 102, name: 'Running', runs: [{ status: 'running', startedAt }] },
    { id: 103, name: 'Paused', runs: [{ status: 'paused', startedAt }] },
    { id: 104, name: 'Pending', runs: [{ status: 'pending', hosts: 0 }] },
    { id: 105, name: 'Aborted', runs: [{ status: 'aborted', startedAt, hosts: 1 }] },
    { id: 106, name: 'Canceled', runs: [{ status: 'canceled', startedAt, hosts: 1 }] },
    { id: 107, name: 'Stopped', runs: [{ status: 'stopped', startedAt, hosts: 2 }] },
    { id: 108, name: 'Never launched', runs: [] },
    {
      id: 109,
      name: 'Imported',
      kind: 'imported',
      runs: [{ startedAt: ago(10 * dayMs) }],
    },
    { id: 110, name: 'Triggered agents', kind: 'triggered-agent', runs: [{ startedAt }] },
    {
      id: 111,
      name: 'Archived',
      runs: [{ startedAt: ago(47 * dayMs) }, { startedAt: ago(40 * dayMs) }],
    },
    {
      id: 112,
      name: 'Archived long ago',
      kind: 'imported',
      runs: [{ startedAt: ago(70 * dayMs) }],
    },
    { id: 113, name: 'Publishing', runs: [{ status: 'publishing', startedAt }] },
    {
      id: 114,
      name: 'Web application',
      kind: 'web-app',
      webAppAnswer: 403,
      runs: [{ startedAt }],
    },
    {
      id: 115,
      name: 'Other web application',
      kind: 'web-app',
      webAppAnswer: 500,
      runs: [{ startedAt }],
    },
    { id: 116, name: 'Two thousand hosts', runs: [{ startedAt, hosts: 2000 }] },
    { id: 117, name: 'Nothing found', runs: [{ startedAt, hosts: 0 }] },
    {
      id: 118,
      name: 'Over in three minutes',
      runs: [
        {
          status: 'running',
          startedAt: soon(-minuteMs),
          steps: [
            { at: soon(2 * minuteMs), status: 'publishing' },
            { at: soon(3 * minuteMs), status: 'completed' },
          ],
        },
      ],
    },
  ]
  const definitions: NewDefinition[] = [
    { id: network, scanName: 'Network devices' },
    {
      id: windows,
      scanName: 'Windows devices',
      scanType: 'Windows',
      targetType: 'Hostname',
    },
    { id: idle, scanName: 'Never run', isActive: false },
  ]
  const sessions: NewSession[] = [
    {
      id: good,
      definitionId: network,
      lastScanned: lastScanned(4 * hourMs),
      targets: [{}, {}, {}],
    },
    {
      id: partial,
      definitionId: network,
      lastScanned: lastScanned(8 * hourMs),
      status: 'PartialSuccess',
      targets: [{}, { status: 'Failure' }],
    },
    {
      id: bad,
      definitionId: windows,
      lastScanned: lastScanned(dayMs),
      status: 'Failure',
      targets: [{ status: 'Failure' }],
      generalError: 'The scanner could not sign in.',
    },
  ]
  return { tenable, definitions, sessions }
}

/** Definitions of authenticated scans: of network devices, of Windows devices, never run. */
export const sampleDefinitions = [
  '4ad8d463-6b3a-4894-b42a-a2de9ea0a8ae',
  '60c4aa57-a5df-4454-a456-2e45f9d79ec9',
  '7f31c0de-0b1d-4c77-9c1e-5d0a6c2b9e11',
] as const

/** Sessions that ended well, in part, and badly. */
export const sampleSessions = [
  '01decc497f4b4ec49a5fc4e12597f8c8',
  '02decc497f4b4ec49a5fc4e12597f8c8',
  '03decc497f4b4ec49a5fc4e12597f8c8',
] as const
