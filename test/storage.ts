import { inject } from 'vitest'

/** The connection string of an account of the storage emulator that no other test uses. */
export async function freshStorage(): Promise<string> {
  const response = await fetch(inject('accountsUrl'), { headers: { connection: 'close' } })
  if (!response.ok) throw new Error(await response.text())
  return response.text()
}
