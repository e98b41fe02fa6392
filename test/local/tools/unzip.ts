import { crc32, inflateRawSync } from 'node:zlib'

/** Reads an archive by its directory, as every unpacker does; throws when directory, header and content disagree. */
export function unzip(archive: Buffer): Map<string, Buffer> {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06'))
  const files = new Map<string, Buffer>()
  let at = archive.readUInt32LE(end + 16)
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = archive.readUInt16LE(at + 28)
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    const head = archive.readUInt32LE(at + 42)
    const body = head + 30 + archive.readUInt16LE(head + 26) + archive.readUInt16LE(head + 28)
    // Both places have method, time, checksum and lengths.
    const same = archive.subarray(at + 8, at + 30).equals(archive.subarray(head + 6, head + 28))
    const content = inflateRawSync(archive.subarray(body, body + archive.readUInt32LE(at + 20)))
    if (
      !same ||
      crc32(content) !== archive.readUInt32LE(at + 16) ||
      content.length !== archive.readUInt32LE(at + 24)
    )
      throw new Error(`${name} is damaged`)
    if (files.has(name)) throw new Error(`${name} is there twice`)
    files.set(name, content)
    at += 46 + nameLength
  }
  if (at !== end) throw new Error('the directory has another length than it says')
  return files
}
