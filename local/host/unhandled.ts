const listeners = new Set<(reason: unknown) => void>()

function tellAll(reason: unknown) {
  for (const listener of listeners) listener(reason)
}

/** Hears of promises that were rejected while nobody waited for them, which then end the process no more; the returned function stops it. */
export function onUnhandledRejection(listener: (reason: unknown) => void): () => void {
  if (listeners.size === 0) process.on('unhandledRejection', tellAll)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) process.off('unhandledRejection', tellAll)
  }
}
