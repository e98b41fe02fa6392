import { z } from 'zod'
import type { GetToken } from '../../platform/credential.ts'
import { RequestError } from '../../platform/errors.ts'
import { invalidRequest } from '../../platform/request.ts'
import type { Clock } from '../../platform/time.ts'
import { type SinkName, sinkNames, sinks } from '../delivery/sinks/index.ts'
import { type CallbackPolicy, validateCallbackUrl } from './callback-url.ts'
import type { Target } from './subscription.ts'

/** An audience, and the end of the host names that may get a token for it. */
export interface AudiencePair {
  audience: string
  host: string
}

/** Services of Microsoft, where a token of the app could do more than say who calls. */
const MICROSOFT =
  /(?:^|\.)(?:(?:microsoft|windows|azure(?!websites))\w*|office(?:365)?|sharepoint|dynamics|power(?:bi|apps|platform)|(?:usgov|china)cloudapi|visualstudio|outlook|loganalytics|applicationinsights|azconfig)\.(?:com|net|io|us|cn|de)$/
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

const sinkAudiences = Object.values(sinks).flatMap(({ audiences }) => audiences)

/** The setting `CALLBACK_AUDIENCES`: `audience=host suffix`, parted by `;`. */
export const audiencesSchema = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(';')
      .filter((part) => part.trim() !== '')
      .map((part): AudiencePair => {
        const [, audience = '', host = ''] =
          /^\s*(\S+)\s*=\s*\.?((?:[\w-]+\.)+[\w-]+)\s*$/.exec(part) ?? []
        return { audience, host: host.toLowerCase() }
      }),
  )
  .refine(
    (pairs) =>
      pairs.every(
        ({ audience, host }) =>
          host !== '' && (!isReserved(audience) || sinkAudiences.includes(audience)),
      ),
    'expected pairs such as api://receiver=hooks.contoso.com, parted by ;, and no audience of Microsoft but those of sinks',
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
  /** Undefined where a target needs no token; throws a `RequestError` where its host may get none. */
  function audienceFor({ audience, sink }: Pick<Target, 'audience' | 'sink'>, { hostname }: URL) {
    const wanted = sink ? sinks[sink].audiences : [audience]
    if (wanted[0] === undefined) return undefined
    const pair = allowed().find(
      ({ audience, host }) =>
        wanted.includes(audience) && (hostname === host || hostname.endsWith(`.${host}`)),
    )
    if (pair && (sink || !isReserved(pair.audience, own))) return pair.audience
    throw new RequestError({
      status: 400,
      problem: 'audience-refused',
      title: 'The host may get no token for this audience',
      detail: `CALLBACK_AUDIENCES does not pair ${sink ? 'the audience of this service' : 'this audience'} with the host.`,
      fix: 'Ask who runs the app to add the pair to CALLBACK_AUDIENCES.',
    })
  }
  return {
    check: audienceFor,
    async get(target: Pick<Target, 'audience' | 'sink'>, url: URL) {
      const audience = audienceFor(target, url)
      if (audience === undefined) return undefined
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

/** The address of a receiver: a callback URL, or that of a sink. */
export interface ReceiverAddress {
  url: URL
  sink?: SinkName
}

/** Reads the address that a caller gives. Throws a `RequestError`: `callback-refused`, `callback-unresolvable`, `invalid-request`. */
export async function readAddress(
  { callbackPolicy, clock }: { callbackPolicy: CallbackPolicy; clock: Clock },
  { callbackUrl, sink: address }: { callbackUrl?: string; sink?: string },
): Promise<ReceiverAddress | undefined> {
  if (callbackUrl !== undefined && address === undefined)
    return { url: (await validateCallbackUrl(callbackUrl, callbackPolicy, clock)).url }
  if (address === undefined) return undefined
  const url = URL.parse(address)
  const sink = url ? sinkNames.find((name) => sinks[name].accepts(url)) : undefined
  const wrong = (message: string) => invalidRequest([{ path: 'body.sink', message }])
  if (callbackUrl !== undefined) throw wrong('cannot be used together with callbackUrl')
  if (!url || !sink)
    throw wrong('is not the address of an Event Grid topic or a Service Bus entity')
  return { url, sink }
}

/**
 * The target for an address: headers and audience as wanted, else those of the target before it, unless the host is
 * another one. Throws a `RequestError`: `audience-refused`, `invalid-request`.
 */
export function makeTarget(
  tokens: ReceiverTokens,
  { url, sink }: ReceiverAddress,
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
  const wrong = (path: string, message: string) => invalidRequest([{ path, message }])
  if (sink && (headers || audience))
    throw wrong('body.sink', 'cannot be used together with headers or audience')
  if (audience !== undefined && headers?.authorization !== undefined)
    throw wrong('body.audience', 'cannot be used together with a header authorization')
  tokens.check({ audience, sink }, url)
  return { callbackUrl: url.href, headers, audience, sink, writtenAt }
}
