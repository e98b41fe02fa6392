/** Runs jobs in the order they came, at most so many at once. */
export interface Pool {
  /** Resolves when the job has run; rejects when the pool was closed before its turn came. */
  run<Result>(job: () => Promise<Result>): Promise<Result>
  /** Jobs that have not begun never will. */
  close(): void
}

/** Makes a pool of `size` places. */
export function createPool(size: number): Pool {
  const waiting: { begin(): void; refuse(): void }[] = []
  let free = size
  let closed = false
  // A place goes straight to who waits longest, so that nobody who comes in between can take it.
  const release = () => {
    const next = waiting.shift()
    if (next) next.begin()
    else free += 1
  }
  return {
    async run(job) {
      if (closed) throw new PoolClosed()
      if (free > 0) free -= 1
      else {
        await new Promise<void>((begin, reject) => {
          waiting.push({ begin, refuse: () => reject(new PoolClosed()) })
        })
      }
      try {
        return await job()
      } finally {
        release()
      }
    },
    close() {
      closed = true
      for (const { refuse } of waiting.splice(0)) refuse()
    },
  }
}

/** The host stops: this job was not begun. */
export class PoolClosed extends Error {
  constructor() {
    super('the host stops')
    this.name = 'PoolClosed'
  }
}
