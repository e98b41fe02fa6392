import { z } from 'zod'
import { defenderRoles, TENABLE_PERMISSION } from '../upstreams/grants.ts'

/** The Azure roles of the app's identity by what they are granted on: each the narrowest that does. */
export const azureRoles = {
  hostAccount: [
    'Storage Blob Data Owner',
    'Storage Queue Data Contributor',
    'Storage Table Data Contributor',
  ],
  dataAccount: ['Storage Queue Data Contributor', 'Storage Table Data Contributor'],
  tenableSecret: ['Key Vault Secrets User'],
  insights: ['Monitoring Metrics Publisher'],
} as const

/** What one flow needs beside what the host needs to run at all. */
interface FlowGrants {
  /** How people call the flow. */
  title: string
  /** App roles on WindowsDefenderATP: any one is enough, the first is the one to ask for; empty where none is needed. */
  defender: readonly string[]
  /** The permission of the Tenable user, where the flow asks Tenable. */
  tenable: string | null
  /** Azure roles on the data account: all of them. */
  dataAccount: readonly (typeof azureRoles.dataAccount)[number][]
}

/** The flows that can be switched off by a missing grant. */
export const grantedFlows = [
  'machine-actions',
  'investigations',
  'av-health-files',
  'av-health-pages',
  'defender-scans',
  'tenable-scans',
] as const
export type GrantedFlow = (typeof grantedFlows)[number]

const { dataAccount } = azureRoles
// Look-ups write a cache and tell no events.
const tables = ['Storage Table Data Contributor'] as const

/** Which flow needs which grants: README, Bicep and preflight are held to this table. */
export const flowGrants: Record<GrantedFlow, FlowGrants> = {
  'machine-actions': {
    title: 'machine actions',
    defender: defenderRoles['machine-actions'],
    tenable: null,
    dataAccount,
  },
  investigations: {
    title: 'investigations',
    defender: defenderRoles.investigations,
    tenable: null,
    dataAccount,
  },
  'av-health-files': {
    title: 'antivirus health, by files',
    defender: defenderRoles.export,
    tenable: null,
    dataAccount,
  },
  'av-health-pages': {
    title: 'antivirus health, by pages',
    defender: defenderRoles.deviceavinfo,
    tenable: null,
    dataAccount,
  },
  'defender-scans': {
    title: 'Defender scan look-ups',
    defender: defenderRoles['authenticated-scans'],
    tenable: null,
    dataAccount: tables,
  },
  'tenable-scans': {
    title: 'Tenable scan look-ups',
    defender: [],
    tenable: TENABLE_PERMISSION,
    dataAccount: tables,
  },
}

/** The app roles to ask for so that every flow works: the first of each, each once, in order of the alphabet. */
export const rolesToAskFor: readonly string[] = [
  ...new Set(Object.values(flowGrants).flatMap(({ defender: [first] }) => first ?? [])),
].sort()

/** What a flow is looked at for, in this order. */
const checkNames = ['settings', 'tables', 'queues', 'token', 'grant', 'probe'] as const
export type CheckName = (typeof checkNames)[number]

/** Something that keeps a flow from running, and the one command that mends it. */
export interface Finding {
  problem: string
  fix: string
}

/** What a look at every flow came to; a check that could not be made is not in the list. */
export const preflightSchema = z.array(
  z.strictObject({
    flow: z.enum(grantedFlows),
    state: z
      .enum(['ready', 'off', 'unused'])
      .describe('Off: it can not run. Unused: nobody has set it up to run.'),
    checks: z.array(
      z.strictObject({
        name: z.enum(checkNames),
        ok: z.boolean(),
        problem: z.string().nullable(),
        fix: z.string().nullable(),
      }),
    ),
  }),
)

/** How one flow stands. */
export type FlowCheck = z.output<typeof preflightSchema>[number]
