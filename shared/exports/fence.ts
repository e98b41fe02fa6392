/** Somebody with a higher epoch has taken the run over, or it is gone: whoever meets this changes nothing more. */
export class Fenced extends Error {
  constructor(runId: string) {
    super(`run ${runId} was taken over`)
    this.name = 'Fenced'
  }
}

/** Does the work, or answers `instead` when the run has been taken over meanwhile. */
export async function unlessFenced<T>(instead: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fenced) return instead
    throw error
  }
}
