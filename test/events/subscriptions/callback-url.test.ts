import { type AddressInfo, createServer } from 'node:net'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createAdjustableClock } from '../../../local/clock.ts'
import { postEvent } from '../../../shared/events/delivery/post.ts'
import {
  type Address,
  type CallbackPolicy,
  validateCallbackUrl,
} from '../../../shared/events/subscriptions/callback-url.ts'
import { RequestError } from '../../../shared/platform/errors.ts'
import { createHttp } from '../../../shared/platform/http.ts'
import { createWorld, secretsFor, someEvent, tokensFor } from '../world.ts'

const CANARY = 'canary-7f3a'

/** Names of the test's own DNS; no other name exists. */
const names: Record<string, string[]> = {
  'public.contoso.net': ['20.50.2.9', '2603:1030:7::5'],
  'metadata.contoso.net': ['169.254.169.254'],
  'loopback.contoso.net': ['127.0.0.1'],
  'private.contoso.net': ['10.0.0.4'],
  'mixed.contoso.net': ['20.50.2.9', '192.168.1.1'],
  'mixed6.contoso.net': ['2603:1030:7::5', 'fd00::1'],
  'mapped.contoso.net': ['::ffff:10.0.0.4'],
  'platform.contoso.net': ['168.63.129.16'],
  'nothing.contoso.net': ['0.0.0.0'],
  'zone.contoso.net': ['fe80::1%eth0'],
  'nonsense.contoso.net': ['not-an-address'],
}

const policy = (allowLoopback = false): CallbackPolicy & { asked: string[] } => {
  const asked: string[] = []
  return {
    allowLoopback,
    asked,
    async resolve(host): Promise<Address[]> {
      asked.push(host)
      const found = names[host]
      if (!found) throw new Error(`getaddrinfo ENOTFOUND ${host}`)
      return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
  }
}

const at = `/hook?sig=${CANARY}`
/** Names without only public addresses. */
const hostileNames = Object.keys(names).filter((name) => name !== 'public.contoso.net')
const hostile: [why: string, url: string][] = [
  ['no URL at all', `not a url ${CANARY}`],
  ['empty', ''],
  ['no scheme', `//public.contoso.net${at}`],
  ['http', `http://public.contoso.net${at}`],
  ['ftp', `ftp://public.contoso.net${at}`],
  ['file', `file:///etc/passwd?${CANARY}`],
  ['data', `data:text/plain,${CANARY}`],
  ['javascript', `javascript:alert('${CANARY}')`],
  ['gopher', `gopher://public.contoso.net/${CANARY}`],
  ['scheme without slashes', `https:public.contoso.net${at}`],
  ['scheme with one slash', `https:/public.contoso.net${at}`],
  ['backslashes', `https:\\\\public.contoso.net\\${CANARY}`],
  ['a backslash before the at sign', `https://public.contoso.net\\@127.0.0.1${at}`],
  ['a user name', `https://user@public.contoso.net${at}`],
  ['a user name and password', `https://user:${CANARY}@public.contoso.net${at}`],
  ['an empty user name', `https://@public.contoso.net${at}`],
  ['an empty password', `https://:@public.contoso.net${at}`],
  ['a host as user name', `https://public.contoso.net:443@10.0.0.4${at}`],
  ['a blank in front', ` https://public.contoso.net${at}`],
  ['a blank behind', `https://public.contoso.net${at} `],
  ['a tab inside', `https://public.con\ttoso.net${at}`],
  ['a line break inside', `https://public.contoso.net/\r\nhost: x${CANARY}`],
  ['a zero byte', `https://public.contoso.net/\u0000${CANARY}`],
  ['a no-break space', `https://public.contoso.net/\u00a0${CANARY}`],
  ['a soft hyphen', `https://local\u00adhost${at}`],
  ['a direction mark', `https://public.contoso.net/\u202e${CANARY}`],
  ['port 22', `https://public.contoso.net:22${at}`],
  ['port 25', `https://public.contoso.net:25${at}`],
  ['port 80', `https://public.contoso.net:80${at}`],
  ['port 0', `https://public.contoso.net:0${at}`],
  ['port 1023', `https://public.contoso.net:1023${at}`],
  ['the port of Redis', `https://public.contoso.net:6379${at}`],
  ['the port of SQL Server', `https://public.contoso.net:1433${at}`],
  ['the port of Docker', `https://public.contoso.net:2375${at}`],
  ['the port of a kubelet', `https://public.contoso.net:10250${at}`],
  ['the port of remote desktops', `https://public.contoso.net:3389${at}`],
  ['a port out of range', `https://public.contoso.net:65536${at}`],
  ['localhost', `https://localhost${at}`],
  ['localhost with a dot', `https://localhost.${at}`],
  ['under localhost', `https://a.localhost${at}`],
  ['a dotless name', `https://intranet${at}`],
  ['.local', `https://printer.local${at}`],
  ['.internal', `https://metadata.google.internal${at}`],
  ['.lan', `https://nas.lan${at}`],
  ['.corp', `https://web.corp${at}`],
  ['.intranet', `https://web.intranet${at}`],
  ['.home.arpa', `https://nas.home.arpa${at}`],
  ['.localdomain', `https://a.localdomain${at}`],
  ['.test', `https://a.test${at}`],
  ['.example', `https://a.example${at}`],
  ['.invalid', `https://a.invalid${at}`],
  ['.onion', `https://abc.onion${at}`],
  ['.arpa', `https://1.0.0.127.in-addr.arpa${at}`],
  ['.svc', `https://api.default.svc${at}`],
  ['a name of a cluster', `https://kubernetes.default.svc.cluster.local${at}`],
  ['an inner name in capitals and with a dot', `https://Web.CORP.${at}`],
  ['an inner name with an encoded dot', `https://web%2ecorp${at}`],
  ['a private endpoint', `https://x.privatelink.vaultcore.azure.net${at}`],
  ['a private endpoint at the front', `https://privatelink.blob.core.windows.net${at}`],
  ['an empty label', `https://public..contoso.net${at}`],
  ['an odd sign in the name', `https://public!contoso.net${at}`],
  ['loopback', `https://127.0.0.1${at}`],
  ['loopback with a dot', `https://127.0.0.1.${at}`],
  ['short loopback', `https://127.1${at}`],
  ['decimal loopback', `https://2130706433${at}`],
  ['octal loopback', `https://0177.0.0.1${at}`],
  ['hexadecimal loopback', `https://0x7f.0.0.1${at}`],
  ['full-width loopback', `https://１２７.０.０.１${at}`],
  ['circled loopback', `https://①②⑦.⓪.⓪.①${at}`],
  ['another loopback', `https://127.8.9.10${at}`],
  ['nowhere', `https://0.0.0.0${at}`],
  ['10/8', `https://10.1.2.3${at}`],
  ['172.16/12', `https://172.16.0.1${at}`],
  ['192.168/16', `https://192.168.0.1${at}`],
  ['carrier-grade NAT', `https://100.64.0.1${at}`],
  ['the metadata service', `https://169.254.169.254${at}`],
  ['the metadata service in decimal', `https://2852039166${at}`],
  ['the address of the platform', `https://168.63.129.16${at}`],
  ['multicast', `https://224.0.0.1${at}`],
  ['broadcast', `https://255.255.255.255${at}`],
  ['a documentation network', `https://192.0.2.1${at}`],
  ['a benchmark network', `https://198.18.0.1${at}`],
  ['reserved', `https://240.0.0.1${at}`],
  ['loopback of six', `https://[::1]${at}`],
  ['nowhere of six', `https://[::]${at}`],
  ['mapped loopback', `https://[::ffff:127.0.0.1]${at}`],
  ['mapped private', `https://[::ffff:a00:1]${at}`],
  ['compatible loopback', `https://[::127.0.0.1]${at}`],
  ['NAT64', `https://[64:ff9b::7f00:1]${at}`],
  ['6to4', `https://[2002:7f00:1::]${at}`],
  ['Teredo', `https://[2001::1]${at}`],
  ['unique local', `https://[fd00::1]${at}`],
  ['link local', `https://[fe80::1]${at}`],
  ['multicast of six', `https://[ff02::1]${at}`],
  ['documentation of six', `https://[2001:db8::1]${at}`],
  ['outside of the global range', `https://[4000::1]${at}`],
  ...hostileNames.map((name): [string, string] => [`the name ${name}`, `https://${name}${at}`]),
]

/** What does not resolve and what is not public are one problem: else the app would show an internal DNS. */
const problemOf = (url: string) =>
  hostileNames.some((name) => url.startsWith(`https://${name}`))
    ? 'callback-unresolvable'
    : 'callback-refused'

const refusal = async (work: Promise<unknown>): Promise<RequestError> => {
  const error = await work.then(() => undefined).catch((reason: unknown) => reason)
  if (error instanceof RequestError) return error
  throw new Error('it was not refused', { cause: error })
}

/** Counts connections to this machine, on an allowed port. */
async function countConnections(): Promise<{ port: number; count(): number }> {
  let count = 0
  const server = createServer((socket) => {
    count += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, count: () => count }
}

describe('hostile callback URLs', () => {
  let event: Parameters<typeof postEvent>[3]
  let subscription: Parameters<typeof postEvent>[1]
  beforeAll(async () => {
    const world = await createWorld()
    subscription = await world.subscribe('public.contoso.net')
    await world.emit(someEvent())
    const [first] = await world.feed.events('machine-actions', 0, 1)
    if (!first) throw new Error('no event was appended')
    event = first
  })

  test.each(['80', '6379', '10080'])(
    'the refusal of port %s says which ports may be',
    async (port) => {
      const { facts } = await refusal(
        validateCallbackUrl(`https://public.contoso.net:${port}`, policy()),
      )

      expect(facts.detail).toBe(`Port ${port} is not allowed.`)
      expect(facts.fix).toContain('on port 443 or one from 1024 on that no other protocol')
    },
  )

  test('are at least sixty', () => {
    expect(hostile.length).toBeGreaterThanOrEqual(60)
  })

  test.each(hostile)(
    '%s is refused when subscribing, and the answer shows nothing of it',
    async (_, url) => {
      const error = await refusal(validateCallbackUrl(url, policy()))

      expect(error.facts).toMatchObject({ status: 400, problem: problemOf(url) })
      expect(JSON.stringify([error.facts, error.message, error.stack])).not.toContain(CANARY)
    },
  )

  test.each(hostile)('%s is refused again when posting, and not contacted', async (_, url) => {
    let calls = 0
    const http = createHttp({
      upstream: 'receiver',
      clock: createAdjustableClock(),
      userAgent: 'relay-test',
    })
    const counted: typeof http = {
      ...http,
      stream(call) {
        calls += 1
        return http.stream(call)
      },
    }

    const outcome = await postEvent(
      {
        http: counted,
        callbackPolicy: policy(),
        clock: createAdjustableClock(),
        tokens: tokensFor(),
      },
      subscription,
      secretsFor(subscription, url),
      event,
    )

    expect(outcome).toEqual({ kind: 'failed', status: null, reason: problemOf(url) })
    expect(calls).toBe(0)
  })

  test('a host name that changes its address after subscribing is validated by the new one, and not contacted', async () => {
    const { port, count } = await countConnections()
    let addresses = ['20.50.2.9']
    const moving: CallbackPolicy = {
      allowLoopback: false,
      resolve: async () => addresses.map((address) => ({ address, family: 4 })),
    }
    const url = `https://rebound.contoso.net:${port}/hook`
    const http = createHttp({
      upstream: 'receiver',
      clock: createAdjustableClock(),
      userAgent: 'relay-test',
    })

    await validateCallbackUrl(url, moving)
    addresses = ['127.0.0.1']
    const outcome = await postEvent(
      { http, callbackPolicy: moving, clock: createAdjustableClock(), tokens: tokensFor() },
      subscription,
      secretsFor(subscription, url, { headers: { 'x-key': CANARY } }),
      event,
    )

    expect(outcome).toMatchObject({ reason: 'callback-unresolvable' })
    expect(count()).toBe(0)
  })

  test('the validated address is the one that is connected to', async () => {
    const { port, count } = await countConnections()
    const http = createHttp({
      upstream: 'receiver',
      clock: createAdjustableClock(),
      userAgent: 'relay-test',
    })
    const url = `https://loopback.contoso.net:${port}/hook`

    // Only the test's DNS has this name.
    const outcome = await postEvent(
      { http, callbackPolicy: policy(true), clock: createAdjustableClock(), tokens: tokensFor() },
      subscription,
      secretsFor(subscription, url),
      event,
    )

    expect(outcome).toMatchObject({ kind: 'failed', status: null })
    expect(count()).toBe(1)
  })
})

test.each([
  'https://public.contoso.net/hook',
  'https://PUBLIC.contoso.net./hook?sig=x%20y#part',
  'https://public.contoso.net:8443/hook',
  'https://public.contoso.net:9443/hook',
  'https://20.50.2.9/hook',
  'https://[2603:1030:7::5]/hook',
])('%s is allowed', async (url) => {
  const { addresses } = await validateCallbackUrl(url, policy())

  expect(addresses?.map(({ address }) => address)).toEqual(
    url.toLowerCase().includes('public') ? ['20.50.2.9', '2603:1030:7::5'] : undefined,
  )
})

test('a literal address is never resolved', async () => {
  const watched = policy()

  await validateCallbackUrl('https://20.50.2.9/hook', watched)
  await refusal(validateCallbackUrl('https://127.1/hook', watched))

  expect(watched.asked).toEqual([])
})

test('a name that does not resolve has the same answer as one with an address that is not public', async () => {
  const unknown = await refusal(validateCallbackUrl(`https://unknown.contoso.net${at}`, policy()))
  const none = await refusal(
    validateCallbackUrl(`https://empty.contoso.net${at}`, {
      allowLoopback: false,
      resolve: async () => [],
    }),
  )
  const hidden = await Promise.all(
    hostileNames.map((name) => refusal(validateCallbackUrl(`https://${name}${at}`, policy()))),
  )

  expect(unknown.facts).toMatchObject({ status: 400, problem: 'callback-unresolvable' })
  for (const { facts, message } of [none, ...hidden])
    expect([facts, message]).toEqual([unknown.facts, unknown.message])
  expect(JSON.stringify(unknown.facts)).not.toContain('unknown.contoso')
})

test.each(['http://127.0.0.1:7099/hook', 'http://[::1]:7099/hook', 'https://127.0.0.1/hook'])(
  '%s is allowed on a laptop only',
  async (url) => {
    await refusal(validateCallbackUrl(url, policy()))

    expect((await validateCallbackUrl(url, policy(true))).url.href).toBe(url)
  },
)

test.each([
  ['http to a name', `http://public.contoso.net${at}`],
  ['http to a name of this machine', `http://loopback.contoso.net${at}`],
  ['a private address', `https://10.0.0.4${at}`],
  ['a user name', `http://user@127.0.0.1${at}`],
  ['the metadata service', `http://169.254.169.254${at}`],
])('a laptop refuses %s all the same', async (_, url) => {
  expect((await refusal(validateCallbackUrl(url, policy(true)))).facts.problem).toBe(
    'callback-refused',
  )
})

test.each([
  ['http://127.0.0.1:99999/x', 'It is not a valid URL.'],
  ['https://', 'It is not a valid URL.'],
  ['https://[::1/x', 'It is not a valid URL.'],
  ['ftp://public.contoso.net/x', 'It is not an https URL.'],
  ['http://public.contoso.net/x', 'It is not an https URL.'],
  ['http://127.0.0.1:0/x', 'Port 0 is not allowed.'],
])(
  '%s is refused by what is wrong with it, on a laptop with what is allowed there',
  async (url, detail) => {
    const here = 'http to 127.0.0.1, [::1] or localhost'

    const { facts } = await refusal(validateCallbackUrl(url, policy(true)))

    expect(facts).toMatchObject({ detail, fix: expect.stringContaining(here) })
    expect((await refusal(validateCallbackUrl(url, policy()))).facts.fix).not.toContain(here)
  },
)

test.each(['http://127.8.9.10:7099/hook', 'http://localhost.:7099/hook'])(
  '%s is this machine too, on a laptop',
  async (url) => {
    const local = {
      ...policy(true),
      resolve: async () => [{ address: '127.0.0.1', family: 4 as const }],
    }

    expect((await validateCallbackUrl(url, local)).url.href).toBe(url)
  },
)
