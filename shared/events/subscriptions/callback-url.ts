import ipaddr from 'ipaddr.js'
import { RequestError } from '../../platform/errors.ts'
import { digestOf } from '../../platform/tickets.ts'
import type { Clock } from '../../platform/time.ts'

export interface Address {
  address: string
  family: 4 | 6
}

/** How callback URLs are validated. Only a laptop allows loopback addresses. */
export interface CallbackPolicy {
  allowLoopback: boolean
  /** All addresses of a host name; an empty list or a rejection when it does not resolve. */
  resolve(host: string): Promise<Address[]>
}

/** Ports of other protocols from 1024 on: databases, caches, brokers, remote control, proxies, phones. */
const blockedPorts = new Set([
  1080, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3260,
  3306, 3389, 3659, 4045, 4190, 4369, 5060, 5061, 5432, 5671, 5672, 5900, 5984, 5985, 5986, 6000,
  6379, 6380, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10_080,
  10_250, 10_255, 11_211, 27_017, 27_018, 27_019,
])

const privateNames =
  /\.(?:local|internal|lan|corp|intranet|home\.arpa|localhost|localdomain|test|example|invalid|onion|arpa|svc)$/

/** An address of the Azure platform itself, though it is in a public range. */
const PLATFORM_ADDRESS = '168.63.129.16'

const RESOLVE_MS = 5000

/**
 * Validates a callback URL and answers it, with the addresses of its host name, if it is a name. Throws a `RequestError`,
 * `callback-refused` or `callback-unresolvable`, which never contains the URL. With a clock all bad names take the same
 * time: the answer does not say which ones the internal DNS has.
 */
export async function validateCallbackUrl(text: string, policy: CallbackPolicy, clock?: Clock) {
  const url = readUrl(text, policy)
  const host = hostOf(url)
  const isLocal = policy.allowLoopback && (host === 'localhost' || isLoopback(host))
  if (!isLocal) validateUrl(url, host, policy)
  if (ipaddr.isValid(host)) {
    if (!isAllowed(host, policy)) throw refused('Its address is not public.', policy)
    return { url }
  }
  const startMs = clock?.now().getTime() ?? 0
  const addresses = await resolve(host, policy)
  const areGood = addresses.every(({ address }) =>
    isLocal ? isLoopback(address) : isAllowed(address, policy),
  )
  if (addresses.length > 0 && areGood) return { url, addresses }
  await clock?.sleep(Math.max(0, startMs + RESOLVE_MS - clock.now().getTime()))
  throw unresolvable()
}

/** The parameters that change when the same callback is signed again. */
const signing = ['sig', 'sv', 'sp', 'se', 'st', 'sr', 'spr']

const charOf = (code: string) => String.fromCharCode(Number.parseInt(code.slice(1), 16))

/**
 * A digest of what makes two callback URLs the same: origin, path and parameters, but no signature, order or needless
 * encoding.
 */
export function digestUrl(callbackUrl: string) {
  const { origin, pathname, search } = new URL(callbackUrl)
  // An encoded slash is another resource: only what never needs encoding is decoded.
  const path = pathname.replace(/%[\da-f]{2}/gi, (code) =>
    /[\w.~-]/.test(charOf(code)) ? charOf(code) : code.toUpperCase(),
  )
  // Byte by byte: bytes that are not UTF-8 would all become the same sign.
  const params = new URLSearchParams(search.replace(/%[89a-f][\da-f]/gi, charOf))
  const isSigned = params.has('sig')
  const others = [...params].filter(([name]) => !isSigned || !signing.includes(name))
  return digestOf(
    JSON.stringify([origin, path, ...others.map((one) => JSON.stringify(one)).sort()]),
  )
}

/** The callback URL as it is stored; undefined for a text that is not a URL. */
export function normalizeCallback(text: string) {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  url.hash = ''
  return url.href
}

function readUrl(text: string, policy: CallbackPolicy) {
  // The parser drops line breaks and changes backslashes to slashes: such a text is refused instead.
  if (/[\p{C}\p{Z}\\]/u.test(text))
    throw refused('It contains blanks, control characters or backslashes.', policy)
  const authority = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1]
  const href = authority && normalizeCallback(text)
  if (!href)
    throw refused(`It is not ${/^https?:/i.test(text) ? 'a valid' : 'an https'} URL.`, policy)
  if (authority.includes('@')) throw refused('It contains a user name or password.', policy)
  const url = new URL(href)
  if (url.port === '0') throw refused('Port 0 is not allowed.', policy)
  return url
}

const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')

function validateUrl({ protocol, port }: URL, host: string, policy: CallbackPolicy) {
  if (protocol !== 'https:') throw refused('It is not an https URL.', policy)
  const number = Number(port || 443)
  if (number !== 443 && (number < 1024 || blockedPorts.has(number)))
    throw refused(`Port ${port} is not allowed.`, policy)
  if (ipaddr.isValid(host)) return
  const isPublicName =
    /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/.test(host) &&
    !privateNames.test(host) &&
    !host.split('.').includes('privatelink')
  if (!isPublicName) throw refused('Its host is not a public name.', policy)
}

/** No addresses after any error: the resolver's error would name the host. */
function resolve(host: string, policy: CallbackPolicy) {
  const timeout = AbortSignal.timeout(RESOLVE_MS)
  const late = new Promise<Address[]>((end) =>
    timeout.addEventListener('abort', () => end([]), { once: true }),
  )
  return Promise.race([policy.resolve(host), late]).catch(() => [])
}

const unresolvable = () =>
  new RequestError({
    status: 400,
    problem: 'callback-unresolvable',
    title: 'The host name of the callback URL has no public address',
    detail: 'Its host name does not resolve, or not only to public addresses.',
    fix: 'Check the host of callbackUrl, or try again when public DNS knows it.',
  })

const isLoopback = (address: string) =>
  ipaddr.isValid(address) && ipaddr.parse(address).range() === 'loopback'

const isAllowed = (address: string, { allowLoopback }: CallbackPolicy) =>
  (allowLoopback && isLoopback(address)) ||
  (ipaddr.isValid(address) && isPublic(ipaddr.parse(address)))

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6) {
  if (address.range() !== 'unicast' || address.toString() === PLATFORM_ADDRESS) return false
  return address.kind() === 'ipv4' || (address.toByteArray()[0] ?? 0) >> 5 === 1
}

function refused(detail: string, { allowLoopback }: CallbackPolicy) {
  const here = allowLoopback
    ? ' On this laptop http to 127.0.0.1, [::1] or localhost is allowed too.'
    : ''
  return new RequestError({
    status: 400,
    problem: 'callback-refused',
    title: 'The callback URL is not allowed',
    detail,
    fix: `Use an https URL of a public host without user name, on port 443 or one from 1024 on that no other protocol (database, broker, remote control) uses.${here}`,
  })
}
