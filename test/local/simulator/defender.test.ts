import { expect, test } from 'vitest'
import { createFleet } from '../../../local/simulator/fleet.ts'
import { giveUp } from '../../limits.ts'
import { askToken, getToken, startCaller } from './caller.ts'

const exportPath = 'machines/InfoGatheringExport?sasValidHours=1'

test('a token gives access to Defender until it expires by the clock', async () => {
  const { simulator, clock, ask } = await startCaller({ token: { lifetimeSeconds: 600 } })
  const early = await ask('deviceavinfo')

  clock.advance(600_000)
  const late = await ask('deviceavinfo')

  expect(early.status).toBe(200)
  expect(late.status).toBe(401)
  expect(await late.json()).toEqual({
    error: {
      code: 'Unauthorized',
      message: expect.any(String),
      target: expect.stringMatching(/^[\da-f-]{36}$/),
    },
  })
  expect((await fetch(`${simulator.origin}/defender/api/deviceavinfo`)).status).toBe(401)
})

test('a token shows its audience, tenant, roles and end', async () => {
  const { simulator, clock, token } = await startCaller({
    token: { tenantId: 'a-tenant', roles: ['Machine.Read.All'] },
  })

  const [, claims = ''] = (await token()).split('.')

  const seconds = Math.floor(clock.now().getTime() / 1000)
  const read = JSON.parse(Buffer.from(claims, 'base64url').toString())
  expect(read).toMatchObject({
    aud: 'https://api.securitycenter.microsoft.com',
    tid: 'a-tenant',
    roles: ['Machine.Read.All'],
  })
  expect(read.exp).toBe(seconds + 3599)
  expect(simulator.issuedSecrets).toContain(await token())
})

test('a wrong secret gets no token', async () => {
  const { simulator } = await startCaller({ token: { clientId: 'relay', clientSecret: 'right' } })

  const wrong = await askToken(simulator.origin, { client_secret: 'wrong' })

  expect(wrong.status).toBe(401)
  expect(await wrong.json()).toMatchObject({ error: 'invalid_client' })
  expect((await askToken(simulator.origin, { client_secret: 'right' })).status).toBe(200)
})

test('a token without the role, or for another audience, is refused with the roles that are sufficient', async () => {
  const { simulator, ask } = await startCaller({ token: { roles: ['Machine.Read.All'] } })
  const foreign = await getToken(simulator.origin, {
    scope: 'https://api.security.microsoft.com/.default',
  })

  const [lacking, elsewhere] = await Promise.all([
    ask(exportPath),
    ask('deviceavinfo', { authorization: `Bearer ${foreign}` }),
  ])

  expect([lacking.status, elsewhere.status]).toEqual([403, 403])
  expect(await lacking.json()).toMatchObject({ error: { code: 'Forbidden' } })
  expect(await elsewhere.json()).toMatchObject({
    error: {
      message:
        'The application does not have any of the required application permissions ' +
        '(Machine.Read.All, Machine.ReadWrite.All) to access the resource.',
    },
  })
})

test('the sixth listing within a minute is refused, and succeeds after the time in the refusal', async () => {
  const { clock, ask, simulator } = await startCaller({ token: { tenantId: 'a-tenant' } })
  for (let call = 0; call < 5; call++) {
    await ask(exportPath)
    clock.advance(10_000)
  }

  const refused = await ask(exportPath)

  const seconds = Number(refused.headers.get('retry-after'))
  expect(refused.status).toBe(429)
  expect(seconds).toBe(10)
  expect(await refused.json()).toEqual({
    error: {
      code: '429',
      message: `API calls quota exceeded! Maximum allowed 5 per 00:01:00 for the key Destination+TenantID+AppID. You can send requests again in ${seconds} seconds.`,
      target: 'a-tenant',
    },
  })
  expect((await ask('deviceavinfo')).status).toBe(200)
  clock.advance(seconds * 1000 - 1)
  expect((await ask(exportPath)).status).toBe(429)
  clock.advance(1)
  expect((await ask(exportPath)).status).toBe(200)
  expect(simulator.requests.filter(({ status }) => status === 429)).toHaveLength(2)
})

test('the twenty-first listing within an hour is refused until the first one is an hour old', async () => {
  const { clock, ask } = await startCaller({ token: { lifetimeSeconds: 90_000 } })
  for (let call = 0; call < 20; call++) {
    expect((await ask(exportPath)).status).toBe(200)
    clock.advance(60_000)
  }

  const refused = await ask(exportPath)

  const seconds = Number(refused.headers.get('retry-after'))
  expect(refused.status).toBe(429)
  expect(await refused.text()).toContain('Maximum allowed 20 per 01:00:00')
  expect(seconds).toBe(2400)
  clock.advance(seconds * 1000)
  expect((await ask(exportPath)).status).toBe(200)
})

test.each(['0', '7', '24', '1.5', 'two', ''])('sasValidHours=%s is refused', async (hours) => {
  const { ask } = await startCaller()

  const refused = await ask(`machines/InfoGatheringExport?sasValidHours=${hours}`)

  expect(refused.status).toBe(400)
  expect(await refused.json()).toMatchObject({
    error: { code: 'InvalidInput', message: expect.stringMatching(/sasValidHours/) },
  })
})

test('an unknown route answers 404 in Defender’s form', async () => {
  const { ask } = await startCaller()

  const missing = await ask('machines/NoSuchExport')

  expect(missing.status).toBe(404)
  expect(await missing.json()).toMatchObject({ error: { code: 'ResourceNotFound' } })
})

test('the JSON method gives twenty rows by default and at most 10,000, linked to the end', async () => {
  const fleet = createFleet({ size: 250, duplicates: 10 })
  const { ask, simulator, token } = await startCaller({ fleet })
  const rows: unknown[] = []

  let next: string | undefined = `${simulator.origin}/defender/api/deviceavinfo?$top=100`
  while (next) {
    const page = await fetch(next, { headers: { authorization: `Bearer ${await token()}` } })
    const { value, '@odata.nextLink': link } = (await page.json()) as {
      value: unknown[]
      '@odata.nextLink'?: string
    }
    rows.push(...value)
    next = link
  }

  expect(rows).toEqual(JSON.parse(JSON.stringify([...fleet.jsonRows()])))
  expect(((await (await ask('deviceavinfo')).json()) as { value: unknown[] }).value).toHaveLength(
    20,
  )
  expect(
    ((await (await ask('deviceavinfo?$top=5&$skip=258')).json()) as { value: unknown[] }).value,
  ).toHaveLength(2)
  expect((await ask('deviceavinfo?$top=10001')).status).toBe(400)
  expect((await ask('v1.0/deviceavinfo')).status).toBe(200)
})

test('the JSON method can leave out its links and its second copies', async () => {
  const { ask } = await startCaller({
    fleet: createFleet({ size: 30, duplicates: 10 }),
    faults: { missingNextLink: true, rowsOnce: true },
  })

  const page = (await (await ask('deviceavinfo?$top=20')).json()) as Record<string, unknown>
  const rest = (await (await ask('deviceavinfo?$top=20&$skip=20')).json()) as { value: unknown[] }

  expect(Object.keys(page)).toEqual(['@odata.context', 'value'])
  expect(rest.value).toHaveLength(10)
})

test.each([403, 404, 429, 500, 503] as const)(
  'the listing can be made to answer %s so many times',
  async (answer) => {
    const { ask } = await startCaller({ faults: { exportStatus: { answer, calls: 2 } } })

    const statuses = [await ask(exportPath), await ask(exportPath), await ask(exportPath)].map(
      ({ status }) => status,
    )

    expect(statuses).toEqual([answer, answer, 200])
  },
)

test('a fault makes the listing answer with a page of a gateway, or never', async () => {
  const { ask, simulator } = await startCaller({
    faults: { exportStatus: { answer: 'html', calls: 1 } },
  })
  const page = await ask(exportPath)
  simulator.setFaults({ exportStatus: { answer: 'timeout', calls: 1 } })

  const authorization = `Bearer ${await getToken(simulator.origin)}`
  const silent = giveUp(
    () => simulator.faults.exportStatus?.calls === 0,
    (signal) =>
      fetch(`${simulator.origin}/defender/api/${exportPath}`, {
        headers: { authorization },
        signal,
      }),
  )

  await expect(silent).rejects.toThrow('given up')
  expect(page.headers.get('content-type')).toBe('text/html')
  expect((await ask(exportPath)).status).toBe(200)
})

test('answers have the clock’s date, and requests are recorded without the values of their queries', async () => {
  const { ask, clock, simulator } = await startCaller()
  clock.advance(86_400_000 * 400)

  const response = await ask('deviceavinfo?$top=3')

  expect(response.headers.get('date')).toBe(clock.now().toUTCString())
  expect(simulator.requests.at(-1)).toMatchObject({
    method: 'GET',
    path: '/defender/api/deviceavinfo',
    query: ['$top'],
    status: 200,
  })
})
