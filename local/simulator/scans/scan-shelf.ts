/** The scans of one kind that a tenant has, in the order in which they were put there. */
export interface ScanShelf<Given, Kept extends Given> {
  /** Puts one there now; what is not given is filled in. One of the same id is replaced. */
  put(given: Given): Kept
  /** Changes one now; what else it has stays. */
  change(id: string | number, patch: Partial<Given>): Kept
  remove(id: string | number): void
  get(id: string | number): Kept | undefined
  all(): Kept[]
}

/** Makes a shelf; `fill` completes what is put there and leaves alone what is complete, `idsOf` are its ids, the first one its own. */
export function createScanShelf<Given, Kept extends Given>(
  fill: (given: Given) => Kept,
  idsOf: (kept: Kept) => (string | number)[],
): ScanShelf<Given, Kept> {
  const kept = new Map<string, Kept>()
  const keyOf = (one: Kept) => String(idsOf(one)[0])
  const get = (id: string | number) =>
    kept.get(String(id)) ?? [...kept.values()].find((one) => idsOf(one).includes(String(id)))
  const put = (given: Given) => {
    const one = fill(given)
    kept.set(keyOf(one), one)
    return one
  }
  const present = (id: string | number) => {
    const one = get(id)
    if (!one) throw new Error(`There is no scan ${id}.`)
    return one
  }
  return {
    put,
    change: (id, patch) => put({ ...present(id), ...patch }),
    remove: (id) => kept.delete(keyOf(present(id))),
    get,
    all: () => [...kept.values()],
  }
}
