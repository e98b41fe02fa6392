/**
 * Does identical work once: calls with the same first argument share one result or failure while the work runs. A
 * success is kept with `keep`, a failure never.
 */
export function singleFlight<Args extends [key?: string, ...rest: unknown[]], T>(
  work: (...args: Args) => Promise<T>,
  { keep = false } = {},
): (...args: Args) => Promise<T> {
  const flights = new Map<string | undefined, Promise<T>>()
  return (...args) => {
    const [key] = args
    const known = flights.get(key)
    if (known !== undefined) return known
    const flight = work(...args)
    flights.set(key, flight)
    const end = () => flights.delete(key)
    flight.then(keep ? undefined : end, end)
    return flight
  }
}
