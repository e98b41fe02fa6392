/** What the functions of the fixture saw, for tests in the same process. Apart from the fixture, which must be loaded by a host. */
export const seen: { what: string; value: unknown }[] = []

/** Functions whose name stands here wait until the promise resolves. */
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

/** How often something was seen. */
export function countOf(what: string): number {
  return seen.filter((entry) => entry.what === what).length
}
