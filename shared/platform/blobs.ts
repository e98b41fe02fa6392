import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type PipelineRequestOptions,
  RestError,
} from '@azure/core-rest-pipeline'
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  QueueServiceClient,
  StorageSharedKeyCredential,
} from '@azure/storage-queue'
import { inTime, storageLimit } from './azure-table.ts'
import type { QueueAccount } from './queue.ts'
import { type Clock, HOUR_MS } from './time.ts'

const SCOPE = 'https://storage.azure.com/.default'
const VERSION = '2021-12-02'

/** Blobs of a container that are written whole. */
export type Blobs = ReturnType<typeof createBlobs>

/** Opens a container by name; no request is sent until it is used. Errors are of the SDK's class. */
export function createBlobs(
  account: QueueAccount,
  container: string,
  { clock, limit = storageLimit }: { clock: Pick<Clock, 'now'>; limit?: typeof storageLimit },
) {
  const pipeline = createPipelineFromOptions({})
  if ('credential' in account) {
    const { credential } = account
    pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: SCOPE }), {
      phase: 'Sign',
    })
  }
  const client = createDefaultHttpClient()
  const { base, token } =
    'credential' in account
      ? { base: account.endpoint.replace(/\/+$/, ''), token: () => '' }
      : readConnection(account.connectionString, clock)

  async function send(
    method: 'GET' | 'PUT',
    path: string,
    headers: Record<string, string | undefined> = {},
    body?: PipelineRequestOptions['body'],
  ) {
    const sent = Object.entries(headers).filter(([, value]) => value !== undefined)
    const url = `${base}/${container}${path}`
    const answer = await inTime(`blobs of ${container}`, limit, (abortSignal) =>
      pipeline.sendRequest(
        client,
        createPipelineRequest({
          ...{ url: `${url}${url.includes('?') ? '&' : '?'}${token()}`, method, body, abortSignal },
          headers: createHttpHeaders({
            ...(Object.fromEntries(sent) as Record<string, string>),
            'x-ms-version': VERSION,
          }),
          allowInsecureConnection: base.startsWith('http:'),
        }),
      ),
    )
    const code = answer.headers.get('x-ms-error-code') ?? `status ${answer.status}`
    return { ...answer, code }
  }

  const refusal = ({ status: statusCode, code }: { status: number; code: string }) =>
    new RestError(`the blob service answered ${statusCode} (${code})`, { statusCode, code })

  return {
    /**
     * Creates the container if it does not exist.
     * https://learn.microsoft.com/rest/api/storageservices/create-container
     */
    async create(): Promise<void> {
      const answer = await send('PUT', '?restype=container')
      if (answer.status !== 201 && answer.code !== 'ContainerAlreadyExists') throw refusal(answer)
    },

    /**
     * Replaces a blob, in any case or only the version with the ETag `ifMatch` (null: a missing one); false when another
     * writer was faster. https://learn.microsoft.com/rest/api/storageservices/put-blob
     */
    async put(path: string, body: Uint8Array | string, ifMatch?: string | null): Promise<boolean> {
      const isJson = typeof body === 'string'
      const headers = {
        'x-ms-blob-type': 'BlockBlob',
        'Content-Type': isJson ? 'application/json' : 'application/vnd.apache.parquet',
        'If-Match': ifMatch ?? undefined,
        'If-None-Match': ifMatch === null ? '*' : undefined,
      }
      const answer = await send('PUT', `/${path}`, headers, body)
      if (answer.status === 201) return true
      if (/^(?:ConditionNotMet|BlobAlreadyExists)$/.test(answer.code)) return false
      throw refusal(answer)
    },

    /** A blob as text; undefined where there is none. https://learn.microsoft.com/rest/api/storageservices/get-blob */
    async read(path: string): Promise<{ text: string; etag: string } | undefined> {
      const answer = await send('GET', `/${path}`)
      if (answer.status === 404) return undefined
      if (answer.status !== 200) throw refusal(answer)
      return { text: answer.bodyAsText ?? '', etag: answer.headers.get('etag') ?? '' }
    },
  }
}

/** Published by Microsoft: it opens nothing but emulators. */
const EMULATOR_KEY =
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

/** The blob endpoint of a connection string, and a token that opens it for an hour. */
function readConnection(connectionString: string, clock: Pick<Clock, 'now'>) {
  const find = (name: string) =>
    new RegExp(`(?:^|;)\\s*${name}\\s*=\\s*([^;]+)`, 'i').exec(connectionString)?.[1]
  const { url, accountName } = QueueServiceClient.fromConnectionString(connectionString)
  const [origin = '', signed = ''] = url.split('?')
  const base =
    find('BlobEndpoint') ?? origin.replace('.queue.', '.blob.').replace(':10001/', ':10000/')
  const key = find('AccountKey') ?? (find('UseDevelopmentStorage') && EMULATOR_KEY)
  const token = () => {
    if (key === undefined) return signed
    const credential = new StorageSharedKeyCredential(accountName, key)
    const permitted = {
      expiresOn: new Date(clock.now().getTime() + HOUR_MS),
      permissions: AccountSASPermissions.parse('rwc'),
      resourceTypes: AccountSASResourceTypes.parse('co').toString(),
      services: AccountSASServices.parse('b').toString(),
    }
    return generateAccountSASQueryParameters(permitted, credential).toString()
  }
  return { base: base.replace(/\/+$/, ''), token }
}
