import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { evaluate, type Scope } from './expressions.ts'

type Values = Record<string, unknown>

/** An action of a workflow, as far as the workflows here use them. */
interface Action {
  type: string
  inputs?: unknown
  expression?: unknown
  actions?: Record<string, Action>
  else?: { actions: Record<string, Action> }
  foreach?: string
  limit?: { count?: number }
  runAfter: Record<string, string[]>
}

export interface Definition {
  parameters: Record<string, { type: string; defaultValue?: unknown }>
  triggers: Record<string, { type: string; inputs?: unknown }>
  actions: Record<string, Action>
}

/** How an action ended, and what it answered. */
export interface Ended {
  status: 'Succeeded' | 'Failed' | 'Skipped'
  outputs?: unknown
  error?: string
}

export interface Run {
  status: string
  actions: Record<string, Ended>
}

interface Options {
  definition: Definition
  /** Values of its parameters; those with a default may be left out. */
  parameters: Values
  /** The address of each connection. */
  connections?: Record<string, string>
  /** Waits as long as an answer says. */
  wait(seconds: number): Promise<void>
}

/** Logic Apps for one workflow: triggers over loopback, runs in this process. It is as strict as the service. */
export async function startWorkflow({ definition, parameters, connections = {}, wait }: Options) {
  const known = Object.fromEntries(
    Object.entries(definition.parameters).map(([name, { defaultValue }]) => {
      const value = parameters[name] ?? defaultValue
      if (value === undefined) throw new Error(`the parameter ${name} has no value`)
      return [name, value]
    }),
  )
  known.$connections = Object.fromEntries(
    Object.keys(connections).map((name) => [name, { connectionId: name }]),
  )
  const runs: Promise<Run>[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = readContent(request.headers['content-type'] ?? '', Buffer.concat(chunks))
    runs.push(run({ body }))
    response.writeHead(202).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const callbackUrl = `http://127.0.0.1:${port}/workflows/w/triggers/t/paths/invoke?sp=r&sv=1.0&sig=s`

  /** Runs the workflow once with what its trigger answered. */
  async function run(trigger: Values): Promise<Run> {
    const ended: Record<string, Ended> = {}
    const variables: Values = {}
    const scope = scopeOf(trigger, ended, variables)
    const status = await runActions(definition.actions, { scope, ended, variables })
    return { status, actions: ended }
  }

  function scopeOf(trigger: Values, ended: Record<string, Ended>, variables: Values): Scope {
    const outputs = (name: string) => {
      if (!ended[name]) throw new Error(`${name} has not run before`)
      return (ended[name].outputs ?? null) as Values | null
    }
    return {
      triggerBody: () => trigger.body ?? null,
      triggerOutputs: () => trigger,
      parameters: (name: string) => {
        if (!(name in known)) throw new Error(`there is no parameter ${name}`)
        return known[name]
      },
      variables: (name: string) => variables[name],
      outputs,
      body: (name: string) => {
        const found = outputs(name)
        return found && 'body' in found ? found.body : null
      },
      listCallbackUrl: () => callbackUrl,
      workflow: () => ({ name: 'workflow' }),
    }
  }

  interface Context {
    scope: Scope
    ended: Record<string, Ended>
    variables: Values
  }

  /** Runs actions in the order of `runAfter`; answers the status of them all. */
  async function runActions(actions: Record<string, Action>, context: Context): Promise<string> {
    const { ended } = context
    const open = new Map(Object.entries(actions))
    for (const name of open.keys()) delete ended[name]
    while (open.size > 0) {
      const next = [...open].find(([, { runAfter }]) =>
        Object.keys(runAfter).every((before) => ended[before]),
      )
      if (!next) throw new Error(`these wait for each other: ${[...open.keys()]}`)
      const [name, action] = next
      open.delete(name)
      const mayRun = Object.entries(action.runAfter).every(([before, allowed]) =>
        allowed.includes(ended[before]?.status ?? ''),
      )
      if (mayRun && action.type === 'Terminate') {
        const { runStatus } = evaluate(action.inputs, context.scope) as { runStatus: string }
        ended[name] = { status: 'Succeeded' }
        for (const one of open.keys()) ended[one] = { status: 'Skipped' }
        return runStatus
      }
      ended[name] = mayRun ? await runAction(name, action, context) : { status: 'Skipped' }
    }
    const names = Object.keys(actions)
    const followed = new Set(names.flatMap((name) => Object.keys(actions[name]?.runAfter ?? {})))
    const statusOf = (name: string): boolean =>
      ended[name]?.status === 'Skipped'
        ? Object.keys(actions[name]?.runAfter ?? {}).every(statusOf)
        : ended[name]?.status === 'Succeeded'
    return names.filter((name) => !followed.has(name)).every(statusOf) ? 'Succeeded' : 'Failed'
  }

  async function runAction(name: string, action: Action, context: Context): Promise<Ended> {
    try {
      return (await work[action.type]?.(name, action, context)) ?? unknown(action)
    } catch (error) {
      return { status: 'Failed', error: String(error) }
    }
  }

  const unknown = ({ type }: Action): Ended => {
    throw new Error(`the stand-in knows no ${type}`)
  }

  const inScope = async (actions: Record<string, Action>, context: Context): Promise<Ended> => ({
    status: (await runActions(actions, context)) === 'Succeeded' ? 'Succeeded' : 'Failed',
  })

  const work: Record<
    string,
    (name: string, action: Action, context: Context) => Promise<Ended> | Ended
  > = {
    Http: async (_name, { inputs }, { scope }) => call(evaluate(inputs, scope) as Call, wait),
    async ApiConnection(_name, { inputs }, { scope }) {
      const { host, path, method, body } = evaluate(inputs, scope) as Call & {
        host: { connection: { name: string } }
        path: string
      }
      const address = connections[host.connection.name]
      if (!address) throw new Error(`there is no connection ${host.connection.name}`)
      return call({ method: method.toUpperCase(), uri: `${address}${path}`, body }, wait)
    },
    Compose: (_name, { inputs }, { scope }) => ok(evaluate(inputs, scope)),
    InitializeVariable(_name, { inputs }, { variables }) {
      const { variables: made } = inputs as { variables: { name: string; value: unknown }[] }
      for (const { name, value } of made) variables[name] = value
      return ok()
    },
    SetVariable(_name, { inputs }, { scope, variables }) {
      const { name } = inputs as { name: string }
      if (JSON.stringify(inputs).includes(`variables('${name}')`))
        throw new Error('a variable can not be set from itself')
      if (!(name in variables)) throw new Error(`there is no variable ${name}`)
      variables[name] = (evaluate(inputs, scope) as { value: unknown }).value
      return ok()
    },
    Query(_name, { inputs }, { scope }) {
      const { from, where } = inputs as { from: string; where: string }
      const list = evaluate(from, scope) as unknown[]
      return ok({ body: list.filter((one) => evaluate(where, { ...scope, item: () => one })) })
    },
    Select(_name, { inputs }, { scope }) {
      const { from, select } = inputs as { from: string; select: unknown }
      const list = evaluate(from, scope) as unknown[]
      return ok({ body: list.map((one) => evaluate(select, { ...scope, item: () => one })) })
    },
    If: (_name, { expression, actions = {}, else: other }, context) =>
      inScope(holds(expression, context.scope) ? actions : (other?.actions ?? {}), context),
    async Foreach(name, { foreach, actions = {} }, context) {
      for (const one of evaluate(foreach, context.scope) as unknown[]) {
        const items = (loop: string) => (loop === name ? one : null)
        const ended = await inScope(actions, { ...context, scope: { ...context.scope, items } })
        if (ended.status !== 'Succeeded') return ended
      }
      return ok()
    },
    async Until(_name, { expression, actions = {}, limit }, context) {
      for (let count = 0; count < (limit?.count ?? 60); count++) {
        const ended = await inScope(actions, context)
        if (ended.status !== 'Succeeded') return ended
        if (evaluate(expression, context.scope) === true) return ok()
      }
      return { status: 'Failed', error: 'the loop did not end' }
    },
  }

  const webhook = Object.values(definition.triggers)[0]?.inputs as
    | { subscribe: Call; unsubscribe: Call }
    | undefined
  const send = (one: Call | undefined) => call(evaluate(one, scopeOf({}, {}, {})) as Call, wait)
  return {
    run,
    runs,
    /** As when the workflow is saved. */
    subscribe: () => send(webhook?.subscribe),
    /** As when the workflow is deleted. */
    unsubscribe: () => send(webhook?.unsubscribe),
    stop: () => new Promise((resolve) => server.close(resolve)),
  }
}

const ok = (outputs?: unknown): Ended => ({ status: 'Succeeded', outputs })

/** Whether a condition of an If holds. */
function holds(condition: unknown, scope: Scope): boolean {
  const [[name, of] = []] = Object.entries(condition as Values)
  const all = of as unknown[]
  if (name === 'and') return all.every((one) => holds(one, scope))
  if (name === 'not') return !holds(of, scope)
  const [one, other] = all.map((value) => evaluate(value, scope)) as [never, never]
  if (name === 'equals') return one === other
  if (name === 'greater') return one > other
  if (name === 'startsWith') return String(one).startsWith(String(other))
  throw new Error(`the stand-in knows no condition ${name}`)
}

interface Call {
  method: string
  uri: string
  headers?: Record<string, string>
  body?: unknown
  authentication?: { type: string; audience: string }
}

/** Calls, and follows a 202 to its `Location` without any header, as Logic Apps does. */
async function call(
  { method, uri, headers = {}, body, authentication }: Call,
  wait: Options['wait'],
): Promise<Ended> {
  let response = await fetch(uri, {
    method,
    redirect: 'manual',
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(authentication ? { authorization: `Bearer ${authentication.audience}` } : {}),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  for (let location = ''; response.status === 202; ) {
    location = response.headers.get('location') ?? location
    if (location === '') break
    await response.arrayBuffer()
    await wait(Number(response.headers.get('retry-after') ?? 20))
    response = await fetch(location)
  }
  const content = Buffer.from(await response.arrayBuffer())
  const outputs = {
    statusCode: response.status,
    body: readContent(response.headers.get('content-type') ?? '', content),
  }
  return { status: response.ok ? 'Succeeded' : 'Failed', outputs }
}

/** A body as a workflow has it: of a media type that is not JSON itself it is base64. */
function readContent(type: string, content: Buffer): unknown {
  if (content.length === 0) return null
  if (/^application\/json\b/.test(type)) return JSON.parse(content.toString())
  if (/^text\//.test(type)) return content.toString()
  return { '$content-type': type, $content: content.toString('base64') }
}
