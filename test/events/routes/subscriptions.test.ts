import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { createSubscriptionRoutes } from '../../../shared/events/routes/index.ts'
import { revokeDeletions } from '../../../shared/events/subscriptions/subscribe.ts'
import { type Answer, askRoute, ORIGIN } from '../ask-route.ts'
import { createWorld, DAY, HOUR, MINUTE, SECOND, streamConfig } from '../world.ts'

type World = Awaited<ReturnType<typeof createWorld>>

const HOST = 'receiver.contoso.net'
const CALLBACK = `https://${HOST}/hook`
const routes = createSubscriptionRoutes({
  ...streamConfig,
  types: ['defender-relay.machine-action.changed'],
})

/** The members of answers, which the route's own schema has checked. */
interface Body {
  id: string
  secret: string
  type: string
  fix: string
  description: string | null
  filter: unknown
  contentType: string
  errors: unknown
}

const ask = (world: World, method: string, path: string, sent?: unknown): Promise<Answer<Body>> =>
  askRoute(routes, world.deps, method, path, sent)

const SIGNED = 'https://prod-1.westeurope.logic.azure.com/workflows/w1/triggers/manual/paths/invoke'
const BASE = `${SIGNED}?api-version=2016-10-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=sig-one`

describe('the same callback', () => {
  test.each([
    ['with another signature', BASE.replace('sig-one', 'sig-two')],
    ['with other signed parameters', BASE.replace('sv=1.0', 'sv=2.0&se=2027-01-01')],
    [
      'with its parameters in another order',
      `${SIGNED}?sig=sig-one&sv=1.0&sp=%2Ftriggers%2Fmanual%2Frun&api-version=2016-10-01`,
    ],
    ['with %2F decoded', BASE.replaceAll('%2F', '/')],
    ['with %2f in small letters', BASE.replaceAll('%2F', '%2f')],
    ['with its path encoded', BASE.replace('/workflows/w1', '/%77orkflows/%771')],
    ['with its host in capitals', BASE.replace('prod-1.westeurope', 'PROD-1.WestEurope')],
    ['with the port', BASE.replace('.com/', '.com:443/')],
    ['with a fragment', `${BASE}#part`],
  ])('%s has one subscription, which ends by it', async (_what, other) => {
    const world = await createWorld()
    const { body: made } = await ask(world, 'POST', 'subscriptions', { callbackUrl: BASE })

    const again = await ask(world, 'POST', 'subscriptions', { callbackUrl: other })
    const [target] = Object.values((await world.deps.secrets.read(made.id))?.targets ?? {})
    const stored = target?.callbackUrl
    const ended = await ask(world, 'POST', 'subscriptions/unsubscribe', { callbackUrl: BASE })

    expect([again.status, again.body.id]).toEqual([200, made.id])
    // Posts go to the newest address: only its signature may be valid.
    expect(stored).toBe(new URL(other.replace('#part', '')).href)
    expect(ended.body).toEqual({ deleted: 1 })
    expect(await world.deps.subscriptions.all()).toEqual([])
  })

  test.each([
    ['another path', BASE.replace('/w1/', '/w2/')],
    ['another host', BASE.replace('prod-1', 'prod-2')],
    ['another parameter', `${BASE}&team=blue`],
    ['another value', BASE.replace('2016-10-01', '2019-05-01')],
    ['another port', BASE.replace('.com/', '.com:8443/')],
    ['a path that is encoded twice', BASE.replace('/workflows/w1', '/workflows%252Fw1')],
    ['an encoded slash in its path', BASE.replace('/workflows/w1', '/workflows%2Fw1')],
    ['another case of the path', BASE.replace('/w1/', '/W1/')],
  ])('is not one with %s', async (_what, other) => {
    const world = await createWorld()
    await ask(world, 'POST', 'subscriptions', { callbackUrl: BASE })

    const made = await ask(world, 'POST', 'subscriptions', { callbackUrl: other })

    expect(made.status).toBe(201)
    expect(await world.deps.subscriptions.all()).toHaveLength(2)
  })

  test.each([
    ['a slash in the path', '/a/b', '/a%2Fb'],
    ['an encoded percent sign', '/a%2Fb', '/a%252Fb'],
    ['a semicolon', '/a;b', '/a%3Bb'],
    ['bytes that are no text', '/?a=%FE', '/?a=%FF'],
    ['a plus that is one', '/?a=b+c', '/?a=b%2Bc'],
  ])('two receivers that differ in %s have two subscriptions', async (_what, one, other) => {
    const world = await createWorld()

    for (const path of [one, other])
      await ask(world, 'POST', 'subscriptions', { callbackUrl: `https://${HOST}${path}` })

    expect(await world.deps.subscriptions.all()).toHaveLength(2)
  })

  test('without a signature, short parameters count', async () => {
    const world = await createWorld()
    const urls = ['?se=1', '?se=2', '?sp=1', '?st=1'].map((query) => `https://${HOST}/hook${query}`)

    for (const callbackUrl of urls) await ask(world, 'POST', 'subscriptions', { callbackUrl })

    expect(await world.deps.subscriptions.all()).toHaveLength(4)
  })

  test('to end what is no URL ends nothing', async () => {
    const world = await createWorld()
    await ask(world, 'POST', 'subscriptions', { callbackUrl: BASE })

    const ended = await ask(world, 'POST', 'subscriptions/unsubscribe', { callbackUrl: 'no URL' })

    expect([ended.status, ended.body]).toEqual([200, { deleted: 0 }])
  })
})

describe('the Location of a subscription', () => {
  const make = async (world: World, callbackUrl = CALLBACK) => {
    const { headers, body } = await ask(world, 'POST', 'subscriptions', { callbackUrl })
    return { id: body.id, path: (headers.location ?? '').replace(`${ORIGIN}/api/`, '') }
  }
  const states = async (world: World) => (await world.deps.subscriptions.all()).map(({ id }) => id)

  test('takes DELETE once, needs no key, and deletes only its own subscription', async () => {
    const world = await createWorld()
    const [one, other] = [await make(world), await make(world, 'https://b.contoso.net/')]

    const ended = await ask(world, 'DELETE', one.path)
    const again = await ask(world, 'DELETE', one.path)

    expect(routes.find(({ name }) => name === 'delete-by-ticket')?.auth).toBe('anonymous')
    expect([ended.status, again.status]).toEqual([204, 404])
    expect(again.body.type).toBe('urn:defender-relay:ticket-not-found')
    expect(await states(world)).toEqual([other.id])
  })

  test('says that it takes DELETE, and that a ticket may be for another request', async () => {
    const { path } = await make(await createWorld())

    const { body } = await ask(await createWorld(), 'DELETE', path)

    expect(body).toMatchObject({
      detail: expect.stringContaining('or it does not open this request'),
      fix: expect.stringContaining('takes only DELETE'),
    })
  })

  test('ends with its subscription: a new one of the same callback has another', async () => {
    const world = await createWorld()
    const one = await make(world)
    await ask(world, 'DELETE', `subscriptions/${one.id}`)
    const next = await make(world)

    const late = await ask(world, 'DELETE', one.path)

    expect(late.status).toBe(404)
    expect(await states(world)).toEqual([next.id])
  })

  test.each<[string, (mine: string, others: string, digest: string) => string]>([
    ['the ticket of another subscription', (mine, others) => mine.slice(0, 24) + others.slice(24)],
    ['a ticket that is cut off', (mine) => mine.slice(0, -1)],
    ['a longer one', (mine) => `${mine}A`],
    [
      'an altered one',
      (mine) => mine.slice(0, 25) + (mine[25] === 'A' ? 'B' : 'A') + mine.slice(26),
    ],
    ['the id alone', (mine) => mine.slice(0, 24)],
    ['the id with a dot', (mine) => mine.slice(0, 25)],
    ['no id', (mine) => mine.slice(24)],
    ['the stored digest', (mine, _others, digest) => mine.slice(0, 25) + digest],
    ['a piece of it', (mine, _others, digest) => mine.slice(0, 25) + digest.slice(0, 43)],
    ['nothing', () => ''],
    ['a path', () => '../subscriptions'],
    ['the row of a callback URL', () => `url|${'a'.repeat(64)}.${'A'.repeat(43)}`],
  ])('with %s deletes nothing, and the answer does not say why', async (_what, makeUp) => {
    const world = await createWorld()
    const [one, other] = [await make(world), await make(world, 'https://b.contoso.net/')]
    const [mine = '', others = ''] = [one, other].map(({ path }) => path.split('=')[1])
    const [digest = ''] = (await world.stateOf(one.id))?.deletionDigests ?? []

    const ticket = encodeURIComponent(makeUp(mine, others, digest))
    const { status, body } = await ask(world, 'DELETE', `continue?ticket=${ticket}`)
    const unknown = await ask(
      world,
      'DELETE',
      `continue?ticket=sub_${'0'.repeat(20)}.${'A'.repeat(43)}`,
    )

    expect([status, body]).toEqual([404, unknown.body])
    expect(await states(world)).toHaveLength(2)
  })

  test('of each of the last five requests works; only digests are stored', async () => {
    const world = await createWorld()
    const made: string[] = []
    for (let n = 0; n < 6; n++) made.push((await make(world)).path)
    const [oldest = '', second = ''] = made
    const rows = JSON.stringify((await world.tables.subscriptions.page({})).rows)

    const tooOld = await ask(world, 'DELETE', oldest)
    const valid = await ask(world, 'DELETE', second)

    expect(new Set(made).size).toBe(6)
    for (const path of made) expect(rows).not.toContain(path.slice(-43))
    expect([tooOld.status, valid.status]).toEqual([404, 204])
  })

  test('is revoked without the subscription', async () => {
    const world = await createWorld()
    const paths = [
      await make(world),
      await make(world),
      await make(world, 'https://b.contoso.net/'),
    ]

    const revoked = await revokeDeletions(world.deps)
    const late = await Promise.all(paths.map(({ path }) => ask(world, 'DELETE', path)))

    expect(revoked).toBe(3)
    expect(late.map(({ status }) => status)).toEqual([404, 404, 404])
    expect(await states(world)).toHaveLength(2)
    expect((await ask(world, 'DELETE', (await make(world)).path)).status).toBe(204)
  })
})

describe('rotated secrets', () => {
  const rotate = (world: World, id: string) =>
    ask(world, 'POST', `subscriptions/${id}/rotate-secret`)

  /** The secrets that sign a post now. */
  async function signing(world: World, id: string, secrets: Record<string, string>) {
    const asked = ask(world, 'POST', `subscriptions/${id}/test`)
    await world.clock.advance(SECOND)
    await asked
    const { headers = {}, body = '' } = world.posts.at(-1) ?? {}
    const at = new Date(Number(headers['webhook-timestamp']) * 1000)
    const signatures = headers['webhook-signature']?.split(' ')
    return Object.keys(secrets).filter((name) => {
      const signature = new Webhook(secrets[name] ?? '').sign(headers['webhook-id'] ?? '', at, body)
      return signatures?.includes(signature)
    })
  }

  test('each sign until their own end, also after two rotations in a minute', async () => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
    const secrets: Record<string, string> = { first: one.secret }
    secrets.second = (await rotate(world, one.id)).body.secret
    await world.clock.advance(MINUTE)
    secrets.third = (await rotate(world, one.id)).body.secret

    const signed: unknown[] = []
    for (const waitMs of [0, DAY - 2 * MINUTE, MINUTE, MINUTE]) {
      await world.clock.advance(waitMs)
      signed.push(await signing(world, one.id, secrets))
    }

    expect(signed).toEqual([
      ['first', 'second', 'third'],
      ['first', 'second', 'third'],
      ['second', 'third'],
      ['third'],
    ])
  })

  test('are at most six: then a rotation is refused until the first one ends, and changes nothing', async () => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
    const secrets: Record<string, string> = { n0: one.secret }
    for (let n = 1; n <= 5; n++) {
      secrets[`n${n}`] = (await rotate(world, one.id)).body.secret
      await world.clock.advance(HOUR)
    }

    const refused = await rotate(world, one.id)
    const all = await signing(world, one.id, secrets)
    await world.clock.advance(DAY - 5 * HOUR)
    const rotated = await rotate(world, one.id)

    expect([refused.status, refused.body.type]).toEqual([
      409,
      'urn:defender-relay:too-many-secrets',
    ])
    expect(refused.body.fix).toContain('try again after 1970-01-02T00:00:00.000Z')
    expect(all).toEqual(Object.keys(secrets))
    expect(rotated.status).toBe(200)
    expect(await signing(world, one.id, secrets)).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
  })

  test('at the same time none of them gets lost', async () => {
    const world = await createWorld()
    world.receive(HOST, () => 200)
    const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })

    const rotated = await Promise.all([1, 2, 3, 4].map(() => rotate(world, one.id)))

    const made = rotated.map(({ body }, index) => [`n${index}`, body.secret])
    const secrets = { first: one.secret, ...Object.fromEntries(made) }
    expect(await signing(world, one.id, secrets)).toEqual(['first', 'n0', 'n1', 'n2', 'n3'])
  })
})

test.each(['enable', 'test', 'rotate-secret'])(
  'an unknown member is refused in POST …/%s, which takes none',
  async (verb) => {
    const world = await createWorld()
    const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })

    const { status, body } = await ask(world, 'POST', `subscriptions/${one.id}/${verb}`, { x: 1 })

    expect([status, body.errors]).toEqual([400, [{ path: 'body.x', message: 'is unknown' }]])
  },
)

describe('an optional member that is not filled in is as if absent', () => {
  const filled = {
    filter: { states: ['Failed'] },
    description: 'mine',
    contentType: 'application/json',
  }

  test.each<[string, object]>([
    ['null', { filter: null, description: null, contentType: null }],
    ['an empty text', { filter: '', description: '', contentType: '' }],
    ['an empty list', { filter: [], description: [], contentType: [] }],
    ['an empty filter', { filter: {} }],
    ['a filter with an empty list', { filter: { streams: [], machineIds: [] } }],
    ['a filter with null', { filter: { streams: null, types: null, terminalOnly: null } }],
    ['a filter with an empty text', { filter: { requestors: '', terminalOnly: '' } }],
  ])('%s', async (_what, members) => {
    const world = await createWorld()
    await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK, ...filled })

    const { status, body } = await ask(world, 'POST', 'subscriptions', {
      callbackUrl: CALLBACK,
      ...members,
    })

    expect([status, body.filter, body.description, body.contentType]).toEqual([
      200,
      {},
      null,
      'application/cloudevents+json',
    ])
  })

  test('among members that are', async () => {
    const world = await createWorld()

    const { body } = await ask(world, 'POST', 'subscriptions', {
      callbackUrl: CALLBACK,
      description: null,
      filter: { states: ['Failed'], machineIds: [], terminalOnly: false },
    })

    expect(body.filter).toEqual({ states: ['Failed'], terminalOnly: false })
  })

  test.each<[string, string, unknown]>([
    ['a required one', 'body.callbackUrl', { callbackUrl: null }],
    ['a required one that is empty', 'body.callbackUrl', { callbackUrl: '' }],
    ['an unknown one', 'body.events', { callbackUrl: CALLBACK, events: null }],
    ['an unknown one of the filter', 'body.filter.x', { callbackUrl: CALLBACK, filter: { x: [] } }],
    ['a name of every object', 'body.constructor', { callbackUrl: CALLBACK, constructor: null }],
    [
      'an empty text in a list',
      'body.filter.states.0',
      { callbackUrl: CALLBACK, filter: { states: [''] } },
    ],
    ['another empty value', 'body.description', { callbackUrl: CALLBACK, description: {} }],
    ['an empty body', 'body', []],
  ])('but not %s', async (_what, path, sent) => {
    const { status, body } = await ask(await createWorld(), 'POST', 'subscriptions', sent)

    expect([status, body.errors]).toEqual([400, [expect.objectContaining({ path })]])
  })

  test('in a replay too', async () => {
    const world = await createWorld()
    const { body: one } = await ask(world, 'POST', 'subscriptions', { callbackUrl: CALLBACK })
    const path = `subscriptions/${one.id}/replay`

    const dead = await ask(world, 'POST', path, { dead: true, after: null })
    const neither = await ask(world, 'POST', path, { dead: null, after: '' })

    expect([dead.status, neither.status]).toEqual([200, 400])
  })
})

test('a name of an internal DNS gets one answer after one time, whether it exists or not', async () => {
  const addresses: Record<string, string[]> = {
    'vault.contoso.net': ['10.0.0.4'],
    'half.contoso.net': ['20.50.2.9', '10.0.0.4'],
    'empty.contoso.net': [],
  }
  const answers: unknown[] = []
  for (const name of [...Object.keys(addresses), 'nobody.contoso.net', 'slow.contoso.net']) {
    const world = await createWorld()
    const deps = {
      ...world.deps,
      callbackPolicy: {
        allowLoopback: false,
        async resolve(host: string) {
          if (host.startsWith('slow')) await world.clock.sleep(4 * SECOND)
          const found = addresses[host]
          if (!found) throw new Error(`getaddrinfo ENOTFOUND ${host}`)
          return found.map((address) => ({ address, family: 4 as const }))
        },
      },
    }
    let endedMs = -1
    const asked = askRoute<typeof deps, Body>(routes, deps, 'POST', 'subscriptions', {
      callbackUrl: `https://${name}/hook`,
    }).finally(() => {
      endedMs = world.clock.now().getTime()
    })
    await world.clock.advance(MINUTE)
    const { status, body, headers } = await asked
    answers.push({ status, body, headers, endedMs })
  }

  expect(answers).toEqual(answers.map(() => answers[0]))
  expect(answers[0]).toMatchObject({
    status: 400,
    body: { type: 'urn:defender-relay:callback-unresolvable' },
    endedMs: 5 * SECOND,
  })
})
