import { inject } from 'vitest'

/** The connection string of a storage account of the emulator that no other test has seen. */
export async function freshStorage(): Promise<string> {
  const response = await fetch(inject('accountsUrl'), { headers: { connection: 'close' } })
  if (!response.ok) throw new Error(await response.text())
  return response.text()
}
