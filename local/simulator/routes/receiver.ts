import type { Route } from '../route.ts'

const path = /^\/receiver\/(?<name>[\w-]{1,64})(?:\/elsewhere)?$/

/** Receivers of events, one for each name; GET is for whoever follows a redirect that way. */
export const receivers: Route[] = (['POST', 'GET'] as const).map((method) => ({
  method,
  path: method === 'POST' ? path : /^\/receiver\/(?<name>[\w-]{1,64})\/elsewhere$/,
  answer: (call, world) => world.receiver(call.caught.name ?? '').answer(call),
}))
