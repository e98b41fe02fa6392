import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'

/** What a link says about itself. */
export interface LinkTimes {
  startsAtMs: number
  endsAtMs: number
  /** When set, the link is signed by a user delegation key that ends then. */
  keyEndsAtMs?: number
}

/** Signs links to blobs and checks them. */
export interface LinkDesk {
  /** The query of a link to `path`, with its signature. */
  sign(path: string, times: LinkTimes): string
  /** Whether the query opens `path` at `nowMs`: `forged` for anything altered, `expired` outside its time. */
  check(
    path: string,
    query: URLSearchParams,
    nowMs: number,
  ): 'good' | 'expired' | 'key-expired' | 'forged'
}

/** Makes a link desk with a key of its own; each signature is told to `onSign`. */
export function createLinkDesk(tenantId: string, onSign: (signature: string) => void): LinkDesk {
  const key = randomBytes(32)
  const identity = { skoid: randomUUID(), sktid: tenantId, sks: 'b', skv: '2020-08-04' }
  const signatureOf = (path: string, query: URLSearchParams) => {
    const signed = [...query]
      .filter(([name]) => name !== 'sig')
      .map(([name, value]) => `${name}=${value}`)
    return createHmac('sha256', key)
      .update(`${path}\n${signed.sort().join('\n')}`)
      .digest('base64')
  }
  return {
    sign(path, { startsAtMs, endsAtMs, keyEndsAtMs }) {
      const query = new URLSearchParams({ sv: '2020-08-04' })
      if (keyEndsAtMs !== undefined) {
        const { skoid, sktid, sks, skv } = identity
        const named = {
          skoid,
          sktid,
          skt: seconds(startsAtMs),
          ske: seconds(keyEndsAtMs),
          sks,
          skv,
        }
        for (const [name, value] of Object.entries(named)) query.set(name, value)
      }
      const rest = { st: seconds(startsAtMs), se: seconds(endsAtMs), sr: 'b', sp: 'r' }
      for (const [name, value] of Object.entries(rest)) query.set(name, value)
      const signature = signatureOf(path, query)
      onSign(signature)
      query.set('sig', signature)
      return query.toString()
    },
    check(path, query, nowMs) {
      const given = Buffer.from(query.get('sig') ?? '')
      const right = Buffer.from(signatureOf(path, query))
      if (given.length !== right.length || !timingSafeEqual(given, right)) return 'forged'
      const within = (start: string | null, end: string | null) =>
        nowMs >= Date.parse(start ?? '') && nowMs < Date.parse(end ?? '')
      if (query.has('ske') && !within(query.get('skt'), query.get('ske'))) return 'key-expired'
      return within(query.get('st'), query.get('se')) ? 'good' : 'expired'
    },
  }
}

const seconds = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`
