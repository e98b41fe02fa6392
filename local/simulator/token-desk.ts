import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../../shared/platform/time.ts'

/** Whom tokens are made for and what they allow. */
export interface TokenOptions {
  tenantId: string
  /** When set, only this pair gets tokens. */
  clientId?: string
  clientSecret?: string
  /** App roles on Defender. */
  roles: string[]
  lifetimeSeconds: number
}

/** The audiences that stand for Defender for Endpoint; a token for any other one has no roles there. */
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

/** Issues tokens and knows them again. */
export interface TokenDesk {
  options: TokenOptions
  issue(clientId: string, audience: string): { token: string; expiresInSeconds: number }
  /** The grant behind an `Authorization` header; undefined when there is none or it has ended. */
  grantOf(authorization: string | undefined): Grant | undefined
}

/** Makes a token desk; each token is told to `onIssue`. */
export function createTokenDesk(
  clock: Clock,
  given: Partial<TokenOptions>,
  onIssue: (token: string) => void,
): TokenDesk {
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
      const head = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(claims)}`
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

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
