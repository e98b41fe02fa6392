import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-queue'

/** Reads a container of the storage emulator, as another program does. */
export function openContainer(connectionString: string, container: string) {
  const find = (name: string) => new RegExp(`${name}=([^;]+)`).exec(connectionString)?.[1] ?? ''
  const credential = new StorageSharedKeyCredential(find('AccountName'), find('AccountKey'))
  const token = generateAccountSASQueryParameters(
    {
      expiresOn: new Date(Date.now() + 3_600_000),
      permissions: AccountSASPermissions.parse('rl'),
      resourceTypes: AccountSASResourceTypes.parse('co').toString(),
      services: AccountSASServices.parse('b').toString(),
    },
    credential,
  ).toString()
  const url = `${find('BlobEndpoint')}/${container}`
  return {
    /** The names of all blobs; none where there is no container. */
    async names(): Promise<string[]> {
      const text = await (await fetch(`${url}?restype=container&comp=list&${token}`)).text()
      return [...text.matchAll(/<Name>([^<]+)<\/Name>/g)].map(([, name = '']) => name).sort()
    },
    async bytes(name: string): Promise<Uint8Array | undefined> {
      const answer = await fetch(`${url}/${name}?${token}`)
      return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined
    },
  }
}
