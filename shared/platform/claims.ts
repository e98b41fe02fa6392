import { z } from 'zod'

/** What a token says about itself; null and empty where it says nothing. */
export interface Claims {
  aud: string | null
  roles: string[]
  /** Delegated permissions, separated by blanks. */
  scp: string | null
  /** The tenant's id. */
  tid: string | null
  /** The object id of whom it stands for: an identity or a user. */
  oid: string | null
  /** The client id of the app that asked for it. */
  appid: string | null
  exp: Date | null
}

const Payload = z.object({
  aud: z.string().nullable().catch(null),
  roles: z.array(z.string()).catch([]),
  scp: z.string().nullable().catch(null),
  tid: z.string().nullable().catch(null),
  oid: z.string().nullable().catch(null),
  appid: z.string().nullable().catch(null),
  exp: z.number().nullable().catch(null),
})

/** Reads a token's claims without checking its signature: for reports, never for decisions about trust. */
export function readClaims(token: string): Claims {
  const { exp, ...claims } = Payload.parse(payloadOf(token))
  const at = new Date((exp ?? Number.NaN) * 1000)
  return { ...claims, exp: Number.isNaN(at.getTime()) ? null : at }
}

function payloadOf(token: string): object {
  try {
    const parsed: unknown = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
    )
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    // An opaque token: it says nothing.
    return {}
  }
}
