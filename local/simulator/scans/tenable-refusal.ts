import { guid } from '../random.ts'
import { json, type Reply } from '../reply.ts'

/** The ways in which Tenable says no. */
export type TenableRefusal = keyof typeof refusals

const told = (statusCode: number, error: string, message: string) =>
  json(statusCode, { statusCode, error, message })

const tooMany: Reply = {
  status: 429,
  headers: { 'content-type': 'text/html', 'retry-after': '30', server: 'tenable.io' },
  body:
    '<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n' +
    '<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n',
}

const duplicate = 'Please modify request or wait until existing export is complete'
const [job, container] = [guid(1, 57), guid(1, 58)]

/** Each refusal as it was recorded or, where nobody has recorded it, as the vendor's pages describe it. */
export const refusals = {
  'bad-request': () => json(400, { error: 'Invalid parameter' }),
  unauthorized: () => told(401, 'Unauthorized', 'Invalid credentials.'),
  forbidden: () => told(403, 'Forbidden', 'Insufficient scope'),
  'not-found': () => json(404, { error: 'Scan not found' }),
  'no-such-path': () => json(404, { error: 'The requested file was not found' }),
  /** Too many calls in a minute: a page of the gateway, before any service has seen the call. */
  rate: () => tooMany,
  /** Too much at a time: the same page from behind a gateway; nobody has recorded what else tells the two apart. */
  concurrency: () => ({
    ...tooMany,
    headers: {
      ...tooMany.headers,
      'x-gateway-site-id': 'nginx-router-b-eng-us-east-1',
      'x-path-handler': 'tenable-io-scans',
    },
  }),
  /** The same export is running: as one of the two export services says it … */
  'duplicate-export': () =>
    json(429, {
      status: 429,
      message: `Duplicate export not allowed. ${duplicate} (job_uuid=${job} container_uuid=${container} createdAt=2026-11-20T06:58:15.082Z)`,
    }),
  /** … and as the other one does, which sends its message in pieces. */
  'duplicate-export-in-pieces': () =>
    json(429, {
      values: [job, container],
      strings: ['Duplicate export (job_uuid=', ' container_uuid=', `). not allowed. ${duplicate}.`],
      empty: false,
      bytes: Buffer.from(
        `Duplicate export (job_uuid=${job} container_uuid=${container}). not allowed. ${duplicate}.`,
      ).toString('base64'),
      value_count: 2,
    }),
  'server-error': () => told(500, 'Internal Server Error', 'An internal server error occurred'),
  'gateway-timeout': () =>
    told(504, 'Gateway Timeout', 'Please wait a moment and try your request again.'),
} satisfies Record<string, () => Reply>
