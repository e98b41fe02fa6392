import { isStorageFailure } from '../platform/azure-table.ts'
import { ConfigError } from '../platform/errors.ts'
import { isIdentityFailure } from './preflight.ts'

/** A part of a report, or why there is none. */
export interface Part<T> {
  part: T | null
  missing: ConfigError | null
  /** The data account did not answer, or nobody is signed in to ask it. */
  isStorageDown: boolean
}

/** The part, or why there is none: reports come also when nothing else does. */
export async function usable<T>(make: () => Promise<T>): Promise<Part<T>> {
  try {
    return { part: await make(), missing: null, isStorageDown: false }
  } catch (error) {
    if (error instanceof ConfigError) return { part: null, missing: error, isStorageDown: false }
    if (isStorageFailure(error) || isIdentityFailure(error))
      return { part: null, missing: null, isStorageDown: true }
    throw error
  }
}
