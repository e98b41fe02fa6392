import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { z } from 'zod'
import { isText } from '../platform/forms.ts'
import { createReadLimit, scanRanges } from '../platform/ordered-reads.ts'
import type { Row, Table } from '../platform/table.ts'
import { rowCodec } from '../platform/table-record.ts'
import { type Clock, DAY_MS, timeKey } from '../platform/time.ts'
import { type Scan, scanSchema } from './source.ts'

/** How long it is known that a scan that was looked up names a host. */
const KNOWN_MS = 90 * DAY_MS
/** Most scans of an answer, and most pages that are read for it. */
const MAX_SCANS = 20
const MAX_PAGES = 2

const { source, id, run, name, state, startedAt, endedAt } = scanSchema.shape
const shownOfScan = z.strictObject({ source, id, run, name, state, startedAt, endedAt })

/** The scans that name a host, as far as this app has looked them up. */
export const knownScansSchema = z.strictObject({
  complete: z.literal(false).describe('Only scans that were looked up here are known.'),
  scans: z.array(
    shownOfScan.extend({
      hostname: z.string().describe('As the scan names it: perhaps without its domain.'),
      hostState: state.nullable().describe('What became of it in this scan.'),
      lookedUpAt: z.string(),
    }),
  ),
})

export const hostsRow = rowCodec(
  z.object({
    expiresAt: z.string(),
    at: z.string(),
    scan: shownOfScan,
    hosts: z.array(z.tuple([z.string(), state.nullable()])),
  }),
)

/** Remembers, in table `ScanCache`, which hosts the scans name that were looked up. */
export function createHostIndex(table: Table, clock: Clock) {
  return {
    /** Records the hosts of an answer with targets: one row for each group of hosts. */
    async record({ kind, id, part }: Record<'kind' | 'id' | 'part', string>, answer: object) {
      const { targets, ...scan } = answer as Partial<Scan>
      if (!targets) return
      const now = clock.now()
      const row = {
        at: now.toISOString(),
        expiresAt: new Date(now.getTime() + KNOWN_MS).toISOString(),
        scan: shownOfScan.strip().parse(scan),
      }
      const named = targets.flatMap(({ hostname, state }) =>
        hostname && !isIP(hostname) ? [[hostname, state] as [string, typeof state]] : [],
      )
      const groups = Map.groupBy(named, ([hostname]) => groupOf(hostname))
      const writes = [...groups].map(([partitionKey, hosts]) => {
        const columns = hostsRow.toColumns({ ...row, hosts })
        return table.transact([
          { kind: 'upsert', partitionKey, rowKey: `${kind}|${id}|${part}`, columns },
        ])
      })
      await Promise.all(writes)
    },

    /** The scans that name a host, the newest first. */
    async knownScans(name: string): Promise<z.output<typeof knownScansSchema>> {
      const toEntry = ({ columns }: Row) => {
        const { scan, hosts = [], at: lookedUpAt = '' } = hostsRow.tryRead(columns) ?? {}
        const [hostname, hostState = null] = hosts.find(([host]) => isSameHost(host, name)) ?? []
        return scan && hostname ? { ...scan, hostname, hostState, lookedUpAt } : undefined
      }
      const reads = createReadLimit(clock, MAX_PAGES)
      const options = { limit: 1000, reads, toEntry }
      const { found } = await scanRanges(table, [{ partitionKey: groupOf(name) }], options)
      const timeOf = ({ endedAt, startedAt, lookedUpAt }: (typeof found)[number]) =>
        timeKey(endedAt ?? startedAt ?? lookedUpAt)
      found.sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))
      return { complete: false, scans: found.slice(0, MAX_SCANS) }
    },
  }
}

const labelOf = (name: string) => name.split('.', 1)[0] ?? ''

/** The partition of a host: a scan may name it with or without its domain. */
const groupOf = (name: string) => {
  const digest = createHash('sha256').update(labelOf(name).toLowerCase()).digest('hex')
  return `hosts|${digest[0]}`
}

/** Whether two names are one host: the same, or the same without a domain that one of them leaves out. */
const isSameHost = (one: string, other: string) =>
  isText(one, other) ||
  ([one, other].some((name) => !name.includes('.')) && isText(labelOf(one), labelOf(other)))
