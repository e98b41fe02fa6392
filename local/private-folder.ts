import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

/** Makes a folder, and those above it, for this user alone; one that is there stays as it is. Throws what the system says. */
export function makeFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return
  const above = dirname(dir)
  // Not Node's `recursive`: it never returns where no folder can be made, such as below /proc.
  if (above !== dir) makeFolder(above)
  try {
    mkdirSync(dir, { mode: FOLDER_MODE })
  } catch (error) {
    // Another start may have been faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(dir).isDirectory())
      throw error
  }
}

/**
 * Closes the entries of a folder that are `ours`, with everything in them, to other users; the folder too, where there is
 * nothing else in it.
 */
export function closeFolder(dir: string, ours: RegExp): void {
  const entries = readdirSync(dir, { withFileTypes: true })
  if (entries.every(({ name }) => ours.test(name))) setMode(dir, FOLDER_MODE)
  for (const entry of entries) {
    const path = join(dir, entry.name)
    if (!ours.test(entry.name)) continue
    if (entry.isDirectory()) closeFolder(path, /^/)
    else if (entry.isFile()) setMode(path, FILE_MODE)
  }
}

function setMode(path: string, mode: number): void {
  try {
    chmodSync(path, mode)
  } catch (error) {
    // Of another owner, or on a disk without modes: that does not keep anybody from working with it. Or gone meanwhile.
    if (!/^(?:EPERM|ENOTSUP|ENOENT)$/.test((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
