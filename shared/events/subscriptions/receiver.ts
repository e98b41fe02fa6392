import { z } from 'zod'
import type { GetToken } from '../../platform/credential.ts'
import { RequestError } from '../../platform/errors.ts'
import { invalidRequest } from '../../platform/request.ts'
import type { Target } from './subscription.ts'

/** An audience, and the end of the host names that may get a token for it. */
export interface AudiencePair {
  audience: string
  host: string
}

/** Services of Microsoft, where a token of the app could do more than say who calls. */
const MICROSOFT =
  /(?:^|\.)(?:microsoft|microsoftonline|microsoftazure|windows|windowsazure|azure|office|office365|sharepoint|dynamics|powerbi|powerapps|powerplatform|usgovcloudapi|chinacloudapi|azureedge|visualstudio|securitycenter|outlook|live)\.(?:com|net|us|cn|de|org)$/
/** The ids of Graph, ARM, Defender and the like, which no host name shows. */
const MICROSOFT_IDS =
  /0000000[\da-f]-0000-0000-c000-0{12}|797f4846-ba00-4fd7-ba43-dac1f8f63013|fc780465-2017-40d4-a0c5-307022471b92|e406a681-f3d4-42a8-90b6-c2b029497af1|cfa8b339-82a2-471a-a3c9-0fc0be7a4093/

/**
 * Whether no receiver may get a token for an audience: it is no `api://…` or `https://…` of an app registration, belongs to
 * Microsoft, or contains one of `own`, the ids and hosts of the app itself.
 */
export function isReserved(audience: string, own: readonly string[] = []) {
  const text = audience.toLowerCase()
  const name = /^(?:api|https):\/\/([\w.-]+)(?:\/[\w~./-]*)?$/.exec(text)?.[1]?.replace(/\.$/, '')
  return (
    !name ||
    MICROSOFT.test(name) ||
    MICROSOFT_IDS.test(text) ||
    own.some((one) => text.includes(one.toLowerCase()))
  )
}

/** The setting `CALLBACK_AUDIENCES`: `audience=host suffix`, parted by `;`. */
export const audiencesSchema = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(';')
      .filter((part) => part.trim() !== '')
      .map((part): AudiencePair => {
        const [, audience = '', host = ''] = /^\s*(\S+)\s*=\s*\.?([\w.-]+)\s*$/.exec(part) ?? []
        return { audience, host: host.toLowerCase() }
      }),
  )
  .refine(
    (pairs) => pairs.every(({ audience, host }) => host !== '' && !isReserved(audience)),
    'expected pairs such as api://receiver=hooks.contoso.com, parted by ;, and no audience of Microsoft',
  )

interface TokenOptions {
  allowed(): readonly AudiencePair[]
  own: readonly string[]
  source(audience: string): GetToken
}

export type ReceiverTokens = ReturnType<typeof createReceiverTokens>

/** The tokens of the app's identity for receivers, as the deployer allows them. */
export function createReceiverTokens({ allowed, own, source }: TokenOptions) {
  const sources = new Map<string, GetToken>()
  /** Throws a `RequestError` where a host may get no token for an audience. */
  function check(audience: string, { hostname }: URL) {
    const isPaired = allowed().some(
      (pair) =>
        pair.audience === audience &&
        (hostname === pair.host || hostname.endsWith(`.${pair.host}`)),
    )
    if (!isPaired || isReserved(audience, own))
      throw new RequestError({
        status: 400,
        problem: 'audience-refused',
        title: 'The host may get no token for this audience',
        detail: 'CALLBACK_AUDIENCES does not pair this audience with the host of the callback URL.',
        fix: 'Ask who runs the app to add the pair to CALLBACK_AUDIENCES, or subscribe without audience.',
      })
  }
  return {
    check,
    async get(audience: string, url: URL) {
      check(audience, url)
      const known = sources.get(audience) ?? source(audience)
      sources.set(audience, known)
      return known()
    },
  }
}

/** Names of the app, of the connection, and those that the HTTP client reads as something else. */
const TAKEN =
  /^(?:webhook-.*|content-.*|user-agent|accept-encoding|host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|date|common|get|head|post|put|patch|delete|query|constructor|prototype)$/

/** The headers that a caller gives. Answers and errors never repeat their values. */
export const headersSchema = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(/^[a-z][\w!#$%&'*+.^`|~-]{0,63}$/i, 'is not the name of a header')
        .toLowerCase()
        .refine((name) => !TAKEN.test(name), 'is a header that the app sets'),
      value: z
        .string()
        .max(1024)
        .regex(/^[!-~](?:[ -~]*[!-~])?$/, 'must be printable ASCII without blanks around it'),
    }),
  )
  .max(10)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'has a name twice')
  .describe('Headers of each post, by which the receiver knows the app. Kept secret.')

/** What a caller says about the receiver. Null ends it, and what is left out stays as it is. */
export interface WantedReceiver {
  headers?: z.output<typeof headersSchema> | null
  audience?: string | null
}

/**
 * The target for a callback URL: headers and audience as wanted, else those of the target before it, unless the host is
 * another one. Throws a `RequestError`: `audience-refused`, `invalid-request`.
 */
export function makeTarget(
  tokens: ReceiverTokens,
  url: URL,
  wanted: WantedReceiver,
  before: Target | undefined,
  writtenAt: string,
): Target {
  const known = before && new URL(before.callbackUrl).origin === url.origin ? before : undefined
  const audience = wanted.audience === undefined ? known?.audience : (wanted.audience ?? undefined)
  const headers =
    wanted.headers === undefined
      ? known?.headers
      : Object.fromEntries((wanted.headers ?? []).map(({ name, value }) => [name, value]))
  if (audience !== undefined) {
    tokens.check(audience, url)
    if (headers?.authorization !== undefined)
      throw invalidRequest([
        { path: 'body.audience', message: 'cannot be used together with a header authorization' },
      ])
  }
  return { callbackUrl: url.href, headers, audience, writtenAt }
}
