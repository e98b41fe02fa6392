import { app, type HttpHandler } from '@azure/functions'
import * as df from 'durable-functions'
import { gates, seen } from './witness.ts'

const echo: HttpHandler = async (request, context) => ({
  jsonBody: {
    functionName: context.functionName,
    method: request.method,
    url: request.url,
    params: request.params,
    query: Object.fromEntries(request.query),
    key: request.headers.get('x-functions-key'),
    body: await request.text(),
  },
})

app.http('echo', {
  authLevel: 'anonymous',
  methods: ['GET', 'POST'],
  route: 'echo/{id?}',
  handler: echo,
})
app.http('by-id', { authLevel: 'anonymous', methods: ['GET'], route: 'items/{id}', handler: echo })
app.http('by-name', {
  authLevel: 'anonymous',
  methods: ['GET'],
  route: 'items/summary',
  handler: echo,
})
app.http('save', { authLevel: 'anonymous', methods: ['POST'], route: 'items/{id}', handler: echo })
app.http('guarded', { authLevel: 'function', methods: ['GET'], handler: echo })
app.http('owned', { authLevel: 'admin', methods: ['GET'], handler: echo })
app.http('openapi', {
  authLevel: 'anonymous',
  methods: ['GET'],
  route: 'openapi.json',
  handler: echo,
})
app.http('reserved', {
  authLevel: 'anonymous',
  methods: ['GET'],
  route: 'administer',
  handler: echo,
})
app.http('nothing', { authLevel: 'anonymous', handler: () => undefined as never })
app.http('throws', {
  authLevel: 'anonymous',
  handler: () => {
    throw new Error('the handler broke')
  },
})
app.http('floats', {
  authLevel: 'anonymous',
  handler: () => {
    void Promise.reject(new Error('nobody waited'))
    return { body: 'answered' }
  },
})
app.http('talks', {
  authLevel: 'anonymous',
  handler: (_request, context) => {
    context.trace('a trace')
    context.debug('a debug line')
    context.log('said %s', 'plainly', { deep: { deeper: { deepest: {} } } })
    context.warn('a warning')
    return { body: 'done' }
  },
})
app.http('statuses', {
  authLevel: 'anonymous',
  route: 'status/{code}',
  handler: (request) => ({
    status: Number(request.params.code),
    body: 'a body',
    headers: {
      'Retry-After': '7',
      Location: '/elsewhere',
      'Content-Type': 'application/problem+json',
    },
    cookies: [{ name: 'crumb', value: '1', httpOnly: true, sameSite: 'Lax' }],
  }),
})

app.timer('bad-cron', { schedule: 'every minute', handler: () => {} })
app.timer('bad-name', { schedule: '%NOBODY_SET_THIS%', handler: () => {} })
app.storageQueue('bad-connection', {
  queueName: 'x',
  connection: 'NOBODY_SET_THIS',
  handler: () => {},
})
app.generic('bad-binding', {
  trigger: { type: 'smokeSignalTrigger', name: 'smoke' },
  handler: () => {},
})

app.storageQueue('take', {
  queueName: '%QUEUE_NAME%',
  connection: 'QUEUES',
  handler: async (message, context) => {
    seen.push({ what: 'message', value: { message, metadata: context.triggerMetadata } })
    await gates.get('take')
    if (JSON.stringify(message).includes('poison')) throw new Error('cannot take this')
  },
})

app.timer('hourly', {
  schedule: '%HOURLY%',
  handler: async (timer) => {
    seen.push({ what: 'hourly', value: timer })
    await gates.get('hourly')
  },
})
app.timer('seconds', {
  schedule: '*/20 * * * * *',
  handler: (timer) => void seen.push({ what: 'seconds', value: timer }),
})

df.app.client.http('start', {
  authLevel: 'anonymous',
  methods: ['POST'],
  route: 'start/{name}/{id}',
  handler: async (request, client) => {
    const text = await request.text()
    const { name = '', id = '' } = request.params
    try {
      const started = await client.startNew(name, {
        instanceId: id,
        ...(text && { input: JSON.parse(text) }),
      })
      return { jsonBody: { id: started } }
    } catch (error) {
      return { status: 500, body: String(error) }
    }
  },
})
df.app.client.http('call-client', {
  authLevel: 'anonymous',
  methods: ['POST'],
  route: 'client/{method}/{id?}',
  handler: async (request, client) => {
    const { method, id = '' } = request.params
    const body = await request.text()
    try {
      if (method === 'status') return { jsonBody: await client.getStatus(id) }
      if (method === 'terminate')
        return { jsonBody: (await client.terminate(id, 'enough')) ?? null }
      if (method === 'purge') return { jsonBody: await client.purgeInstanceHistory(id) }
      if (method === 'raise') return { jsonBody: (await client.raiseEvent(id, 'event', 1)) ?? null }
      if (method === 'list') return { jsonBody: await client.getStatusAll() }
      if (method === 'links') return { jsonBody: client.createHttpManagementPayload(id) }
      const { from, statuses } = JSON.parse(body)
      const filter = {
        ...(from && { createdTimeFrom: new Date(from) }),
        ...(statuses && { runtimeStatus: statuses }),
      }
      return {
        jsonBody: await client.purgeInstanceHistoryBy(
          filter as Parameters<typeof client.purgeInstanceHistoryBy>[0],
        ),
      }
    } catch (error) {
      return { status: 500, body: String(error) }
    }
  },
})
