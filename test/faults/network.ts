import {
  createServer,
  request as forward,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Storage } from './storage-service.ts'
import { type Asked, type Outcome, operationsIn, queueIn } from './storage-wire.ts'

/** A request of an instance on its way. */
export interface Call {
  /** Where it is seen, such as `publish-run: write Exports current+run`. */
  step: string
  asked: Asked
  /** Sends it, and resolves with the answer of the real service. */
  send(): Promise<Outcome>
}

/** Who sends requests: once it is dead, none of them arrives or is answered. */
export interface Caller {
  isDead: boolean
}

/** Decides what becomes of a request; undefined: it is sent. */
export type Interfere = (call: Call) => Promise<Outcome> | undefined

export type Network = Awaited<ReturnType<typeof createNetwork>>

/**
 * All that instances send to storage, upstreams and receivers passes here. Each instance has an origin of its own;
 * links and callback URLs lead to a common one, whose requests count as those of the newest instance. `stage` says what
 * is being done.
 */
export async function createNetwork(
  storage: Pick<Storage, 'answer' | 'account'>,
  upstream: () => string,
  stage: () => string,
) {
  const servers: Server[] = []
  let newest: Caller = { isDead: false }
  let interfere: Interfere | undefined
  let active = 0
  const unanswered = new Set<{ caller: Caller }>()
  const steps: string[] = []
  const answers: { step: string; status: number }[] = []

  async function outcomeOf(caller: Caller, asked: Asked): Promise<Outcome> {
    const step = `${stage()}: ${requestName(asked, storage.account.name)}`
    const call = {
      step,
      asked,
      send: () =>
        asked.path.startsWith(`/${storage.account.name}/`)
          ? storage.answer(asked)
          : sendTo(upstream(), asked),
    }
    if (caller.isDead) return 'silence'
    steps.push(step)
    const outcome = await (interfere?.(call) ?? call.send())
    if (typeof outcome === 'object')
      answers.push({ step, status: 'half' in outcome ? outcome.half.status : outcome.status })
    return caller.isDead ? 'silence' : outcome
  }

  async function serve(caller: Caller, request: IncomingMessage, response: ServerResponse) {
    active += 1
    try {
      const asked = await readRequest(request)
      const outcome = await outcomeOf(caller, asked)
      write(response, outcome)
      const isSilent =
        outcome === 'silence' || ('half' in Object(outcome) && !response.writableEnded)
      if (!isSilent) return
      const wait = { caller }
      unanswered.add(wait)
      response.once('close', () => unanswered.delete(wait))
    } catch (error) {
      response.writeHead(500).end(String(error))
    } finally {
      active -= 1
    }
  }

  async function listen(caller: () => Caller): Promise<string> {
    const server = createServer((request, response) => void serve(caller(), request, response))
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  return {
    /** Where links and callback URLs lead. */
    origin: await listen(() => newest),
    /** The origin of a new instance. */
    connect(caller: Caller): Promise<string> {
      newest = caller
      return listen(() => caller)
    },
    /** A request that does not go over the wire, such as one to the durable engine. */
    async pass<T>(caller: Caller, name: string, send: () => T): Promise<T> {
      const asked = { method: 'POST', path: `/local/${name}`, headers: {}, body: Buffer.from('') }
      let answer: T | undefined
      const own = { status: 200, headers: {}, body: '' }
      if (caller.isDead) return new Promise<never>(() => {})
      const step = `${stage()}: ${name}`
      steps.push(step)
      const call: Call = {
        step,
        asked,
        async send() {
          answer = send()
          return own
        },
      }
      const outcome = await (interfere?.(call) ?? call.send())
      if (caller.isDead || outcome === 'silence') return new Promise<never>(() => {})
      if (outcome !== own) throw new Error('the durable engine did not answer')
      return answer as T
    },
    /** From now on every request is asked for. */
    interfere(by: Interfere | undefined) {
      interfere = by
    },
    /** The steps so far, and the answers. */
    steps,
    answers,
    /** Requests that are being answered. */
    get active() {
      return active
    },
    /** Requests of living instances that wait for an answer in vain. */
    get silent() {
      return [...unanswered].filter(({ caller }) => !caller.isDead).length
    },
    /** A request waits on purpose: time may pass. */
    async waiting<T>(work: Promise<T>): Promise<T> {
      active -= 1
      return work.finally(() => {
        active += 1
      })
    },
    close() {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

async function readRequest(request: IncomingMessage): Promise<Asked> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece)
  const { method = '', url: path = '' } = request
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
  )
  return { method, path, headers, body: Buffer.concat(pieces) }
}

function write(response: ServerResponse, outcome: Outcome): void {
  if (outcome === 'silence') return
  if (outcome === 'reset') return void response.socket?.resetAndDestroy()
  if (!('half' in outcome)) {
    response.writeHead(outcome.status, {
      ...outcome.headers,
      'content-length': Buffer.byteLength(outcome.body),
    })
    return void response.end(outcome.body)
  }
  const { half, end } = outcome
  const body = Buffer.from(half.body)
  response.writeHead(half.status, { ...half.headers, 'content-length': body.length })
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => {
    // The written part is sent first, so that the caller gets the start of an answer.
    if (end === 'reset') setImmediate(() => response.socket?.resetAndDestroy())
  })
}

/** Sends a request to another server and reads its whole answer. */
export function sendTo(origin: string, { method, path, headers, body }: Asked): Promise<Outcome> {
  return new Promise((resolve) => {
    const sent = forward(new URL(path, origin), { method, headers }, async (answer) => {
      const pieces: Buffer[] = []
      const { statusCode: status = 0 } = answer
      const { 'transfer-encoding': _chunks, ...kept } = answer.headers
      const whole = () => ({
        status,
        headers: kept as Record<string, string>,
        body: Buffer.concat(pieces),
      })
      try {
        for await (const piece of answer) pieces.push(piece)
        resolve(whole())
      } catch {
        resolve({ half: whole(), end: 'reset' })
      }
    })
    sent.on('error', () => resolve('reset'))
    sent.end(body)
  })
}

/** The name of a request: what it does, and what with, without ids and times. */
function requestName(asked: Asked, account: string): string {
  const { method, body } = asked
  const path = decodeURIComponent(new URL(asked.path, 'http://network').pathname)
  if (!path.startsWith(`/${account}/`)) return `${method} ${routeName(path)}`
  const queue = queueIn(asked.path)
  if (queue) return `${queue.rest ? 'send' : 'create'} ${queue.name}`
  const target = path.slice(account.length + 2)
  if (target === '$batch') {
    const operations = operationsIn(body.toString())
    const kinds = new Set(
      operations.map(({ table, operation }) => kindOfRow(operation.rowKey, table)),
    )
    return `write ${tableName(operations[0]?.table ?? '')} ${[...kinds].sort().join('+')}`
  }
  if (target === 'Tables') return `create ${tableName(JSON.parse(body.toString()).TableName)}`
  const dropped = /^Tables\('(\w+)'\)/.exec(target)?.[1]
  if (dropped) return `drop ${tableName(dropped)}`
  const [, table = '', rowKey] = /^(\w+)\((?:.*RowKey='(.*)')?/s.exec(target) ?? []
  return rowKey === undefined
    ? `list ${tableName(table)}`
    : `read ${tableName(table)} ${kindOfRow(rowKey, table)}`
}

/** A table without the id of its run. */
const tableName = (name: string) => name.replace(/\d{14}[a-z]{4}/, '').replace(/\d+$/, '')

function kindOfRow(rowKey: string, table: string): string {
  if (rowKey === '~progress') return 'progress'
  // Their keys begin with ids, names, ranks or days.
  if (/^AvHealth/.test(table)) return table.startsWith('AvHealthRollups') ? 'count' : 'device'
  const [first = ''] = rowKey.split('|')
  if (/^\d+$/.test(first)) return 'file'
  if (/^sub_/.test(first)) return 'subscription'
  // Ids of devices have many forms; every other key begins with a word.
  return /^[a-z]+$/.test(first) ? first : 'device'
}

function routeName(path: string): string {
  if (path.startsWith('/blob/')) return 'blob'
  if (path.startsWith('/receiver/')) return 'receiver'
  const [, name = '', id] = /\/api\/(\w+)(?:\/(.+))?$/.exec(path) ?? []
  if (name === 'machines') return String(id)
  return name ? `${name}${id ? ' by id' : ''}` : path.slice(1)
}
