import { lookup } from 'node:dns/promises'
import type { CallbackPolicy } from '../shared/events/subscriptions/callback-url.ts'

/** The rules for callbacks on a laptop: receivers on this machine are allowed, every other name is looked up and judged as ever. */
export const localCallbacks: CallbackPolicy = {
  allowLoopback: true,
  async resolve(host) {
    if (/(?:^|\.)localhost$/.test(host)) return [{ address: '127.0.0.1', family: 4 }]
    const addresses = await lookup(host, { all: true, verbatim: true })
    return addresses.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
  },
}
