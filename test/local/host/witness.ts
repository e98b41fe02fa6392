/** What the functions of the fixture have recorded, for tests in the same process. Not in the fixture, which a host must load. */
export const seen: { what: string; value: unknown }[] = []

/** Functions with a name in this map wait until its promise resolves. */
export const gates = new Map<string, Promise<void>>()

/** Closes a gate; the returned function opens it again. */
export function closeGate(name: string): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  gates.set(name, promise)
  return () => {
    gates.delete(name)
    resolve()
  }
}

/** Number of records of a kind. */
export function countOf(what: string): number {
  return seen.filter((entry) => entry.what === what).length
}
