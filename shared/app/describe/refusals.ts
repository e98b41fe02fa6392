import type { HttpRoute } from '../http.ts'

/** Answers without a body that the platform gives. */
const bare: Record<number, string> = {
  401: 'No valid function key came with the request.',
  500: 'A fault of the app; its log tells more.',
}

/** What the statuses of problems stand for. */
const meanings: Record<number, string> = {
  400: 'The request is not valid; errors names everything that is wrong with it.',
  404: 'There is no such thing.',
  409: 'What is there already stands against it.',
  410: 'It was there once and is gone; remedy says where to go on.',
  411: 'A body needs a Content-Length.',
  413: 'The body is larger than 256 KiB.',
  415: 'The body is not JSON.',
  429: 'No call to the upstream is left for now.',
  502: 'The upstream failed, refused the app, or answered in an unknown shape.',
  503: 'This part of the app is not set up, or the upstream allows no more calls for now.',
  504: 'The upstream did not answer in time.',
}

/** Routes that refuse for reasons of their own; another route may just as well declare a status among its answers. */
const own: Record<string, number[]> = {
  'list-events': [410],
  'create-subscription': [409],
  'replay-deliveries': [409, 410],
}

/** The first parts of the paths below which an upstream may be asked. */
const asking = ['changes', 'scan-history', 'continue']

/** What a route may answer instead of its own answers, by status; a refusal without `isProblem` has no body. */
export function refusalsOf({
  name,
  path,
  auth,
  route,
}: HttpRoute): Map<number, { text: string; isProblem: boolean }> {
  const hasIds = Object.values(route.params.shape).some((schema) => !('options' in schema))
  const [first = ''] = path.split('/')
  const isBound = auth === 'function' || hasIds
  const statuses = [
    400,
    ...(auth === 'function' ? [401] : []),
    ...(hasIds ? [404] : []),
    ...(own[name] ?? []),
    ...(route.body ? [411, 413, 415] : []),
    ...(first === 'scan-history' ? [429] : []),
    500,
    ...(asking.includes(first) ? [502, 503, 504] : isBound && first !== 'status' ? [503] : []),
  ]
  return new Map(statuses.map((status) => [status, refusal(status)]))
}

/** The refusal of a status. */
export function refusal(status: number): { text: string; isProblem: boolean } {
  const text = bare[status] ?? meanings[status] ?? 'The request is refused.'
  return { text, isProblem: !(status in bare) }
}
