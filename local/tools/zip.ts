import { crc32, deflateRawSync } from 'node:zlib'

/** One file of an archive; `path` has forward slashes and no `..`. */
export interface ZipEntry {
  path: string
  content: Buffer
}

// 1980-01-01: the same files always give the same archive.
const DATE = 0x21
const VERSION = 20
const DEFLATED = 8
const UTF8_NAMES = 0x800
/** Unix mode of a regular file that everybody may read. */
const MODE = 0o100644 * 0x10000
const UNIX = 3 * 0x100

/** Makes a zip archive in memory: up to 65,535 files and 4 GiB, deflated, without entries for folders. */
export function zip(entries: ZipEntry[]): Buffer {
  if (entries.length > 0xffff)
    throw new RangeError(`${entries.length} files are more than a plain zip holds`)
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const { path, content } of entries) {
    const name = Buffer.from(path)
    const packed = deflateRawSync(content, { level: 9 })
    const facts = numbers(
      [2, VERSION],
      [2, UTF8_NAMES],
      [2, DEFLATED],
      [2, 0],
      [2, DATE],
      [4, crc32(content)],
      [4, packed.length],
      [4, content.length],
      [2, name.length],
      [2, 0],
    )
    const head = Buffer.concat([numbers([4, 0x04034b50]), facts, name])
    directory.push(
      Buffer.concat([
        numbers([4, 0x02014b50], [2, VERSION + UNIX]),
        facts,
        numbers([2, 0], [2, 0], [2, 0], [4, MODE], [4, at]),
        name,
      ]),
    )
    bodies.push(head, packed)
    at += head.length + packed.length
  }
  const list = Buffer.concat(directory)
  const { length } = entries
  const end = numbers(
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, length],
    [2, length],
    [4, list.length],
    [4, at],
    [2, 0],
  )
  return Buffer.concat([...bodies, list, end])
}

/** Little-endian numbers, each with its number of bytes. */
function numbers(...deps: [bytes: 2 | 4, value: number][]): Buffer {
  return Buffer.concat(
    deps.map(([bytes, value]) => {
      const buffer = Buffer.alloc(bytes)
      buffer.writeUIntLE(value, 0, bytes)
      return buffer
    }),
  )
}
