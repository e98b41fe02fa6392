import { expect, test } from 'vitest'
import { freshStorage } from '../../storage.ts'
import { hostJson } from './fixture-options.ts'
import { startTestHost } from './start.ts'

test('a function that cannot run is left out with one line, everything else runs', async () => {
  const host = await startTestHost()

  const errors = host.lines.filter((line) => line.includes('function is in error'))

  expect(errors.map((line) => /The '([\w-]+)' function/.exec(line)?.[1]).toSorted()).toEqual([
    'bad-binding',
    'bad-connection',
    'bad-cron',
    'bad-name',
    'reserved',
  ])
  expect((await host.get('/api/echo')).status).toBe(200)
  expect(host.functions).toContainEqual({
    name: 'by-id',
    kind: 'http',
    route: 'items/{id}',
    methods: ['GET'],
  })
  expect(host.functions).toContainEqual({ name: 'hourly', kind: 'timer' })
})

test('an entry file that throws leaves a host without functions', async () => {
  const host = await startTestHost({
    load: async () => {
      const { app } = await import('@azure/functions')
      app.http('half-way', { handler: () => ({}) })
      throw new Error('a mistake at the top')
    },
  })

  const answer = await host.get('/api/half-way')

  expect(host.functions).toEqual([])
  expect(answer.status).toBe(404)
  expect(host.lines[0]).toMatch(
    /^error: Worker was unable to load entry point: Error: a mistake at the top/,
  )
})

test('two functions with the same name leave a host without functions too', async () => {
  const host = await startTestHost({
    load: async () => {
      const { app } = await import('@azure/functions')
      app.http('twin', { handler: () => ({}) })
      app.http('twin', { handler: () => ({}) })
    },
  })

  expect(host.functions).toEqual([])
  expect(host.lines[0]).toContain('A function with name "twin" has already been registered.')
})

test.each([
  [
    'a hub name that is not set',
    { durableTask: { hubName: '%NOBODY_SET_THIS%' } },
    /hubName is missing/,
  ],
  ['no hub name', { durableTask: { hubName: undefined } }, /hubName is missing/],
  ['a hub name with a dash', { durableTask: { hubName: 'my-hub' } }, /hubName is missing or not/],
  [
    'an unknown encoding',
    { queues: { messageEncoding: 'utf8' } },
    /messageEncoding is not none or base64/,
  ],
  ['a batch of 33', { queues: { batchSize: 33 } }, /batchSize is not 1 to 32/],
  [
    'a time that is none',
    { queues: { visibilityTimeout: 'soon' } },
    /visibilityTimeout is not a time span/,
  ],
  [
    'an unknown version strategy',
    { durableTask: { versionMatchStrategy: 'Newest' } },
    /versionMatchStrategy/,
  ],
])('%s in host.json keeps the whole host from starting', async (_what, change, sentence) => {
  const storage = await freshStorage()

  await expect(startTestHost({ storage, hostJson: hostJson(change) })).rejects.toThrow(sentence)
})
