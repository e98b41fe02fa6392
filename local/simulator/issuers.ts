import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../shared/platform/time.ts'
import { momentAt, utcText } from './moment.ts'

/** For which client tokens are issued and what they allow. */
export interface TokenOptions {
  tenantId: string
  /** When set, only this client gets tokens. */
  clientId?: string
  clientSecret?: string
  /** App roles on Defender. */
  roles: string[]
  lifetimeSeconds: number
}

/** The audiences of Defender for Endpoint; a token for any other audience has no roles there. */
const defenderAudiences = [
  'https://api.securitycenter.microsoft.com',
  'https://securitycenter.onmicrosoft.com/windowsatpservice',
  'https://api.securitycenter.windows.com',
]

/** What a token allows. */
export interface Grant {
  clientId: string
  roles: string[]
  expiresAtMs: number
}

/** Issues tokens and recognises them. */
export interface TokenIssuer {
  options: TokenOptions
  issue(clientId: string, audience: string): { token: string; expiresInSeconds: number }
  /** The grant of an `Authorization` header; undefined when there is none or it has expired. */
  grantOf(authorization: string | undefined): Grant | undefined
}

/** Makes a token issuer; `onIssue` gets each token. */
export function createTokenIssuer(
  clock: Clock,
  given: Partial<TokenOptions>,
  onIssue: (token: string) => void,
): TokenIssuer {
  const options: TokenOptions = {
    tenantId: '5b1f4d0e-6f0a-4c53-9d0f-2f8f0b6c7a11',
    roles: ['Machine.Read.All', 'Vulnerability.Read.All', 'Alert.Read.All'],
    lifetimeSeconds: 3599,
    ...given,
  }
  const grants = new Map<string, Grant>()
  const key = randomBytes(32)
  return {
    options,
    issue(clientId, audience) {
      const issuedAt = Math.floor(clock.now().getTime() / 1000)
      const expiresAt = issuedAt + options.lifetimeSeconds
      const roles = defenderAudiences.includes(audience.replace(/\/$/, '')) ? options.roles : []
      const claims = {
        aud: audience,
        iss: `https://sts.windows.net/${options.tenantId}/`,
        iat: issuedAt,
        nbf: issuedAt,
        exp: expiresAt,
        appid: clientId,
        roles,
        tid: options.tenantId,
        uti: randomUUID(),
      }
      const head = `${jwtPart({ typ: 'JWT', alg: 'HS256' })}.${jwtPart(claims)}`
      const token = `${head}.${createHmac('sha256', key).update(head).digest('base64url')}`
      for (const [old, grant] of grants) if (grant.expiresAtMs < issuedAt * 1000) grants.delete(old)
      grants.set(token, { clientId, roles, expiresAtMs: expiresAt * 1000 })
      onIssue(token)
      return { token, expiresInSeconds: options.lifetimeSeconds }
    },
    grantOf(authorization) {
      const grant = grants.get(/^bearer (\S+)$/i.exec(authorization ?? '')?.[1] ?? '')
      return grant && clock.now().getTime() < grant.expiresAtMs ? grant : undefined
    },
  }
}

const jwtPart = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The times of a link. */
export interface LinkTimes {
  startsAtMs: number
  endsAtMs: number
  /** When set, the link is signed by a user delegation key that expires at this time. */
  keyEndsAtMs?: number
}

/** Signs links to blobs and checks them. */
export interface LinkIssuer {
  /** The query string of a link to `path`, with its signature. */
  sign(path: string, times: LinkTimes): string
  /** Whether the query string gives access to `path` at `nowMs`: `forged` when anything was altered, `expired` outside its time. */
  check(
    path: string,
    query: URLSearchParams,
    nowMs: number,
  ): 'good' | 'expired' | 'key-expired' | 'forged'
}

/** Makes a link issuer with its own key; `onSign` gets each signature. */
export function createLinkIssuer(
  tenantId: string,
  onSign: (signature: string) => void,
): LinkIssuer {
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

const seconds = (ms: number) => utcText(momentAt(ms))
