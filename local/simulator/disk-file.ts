import { closeSync, createReadStream, openSync, readFileSync, readSync } from 'node:fs'
import { pipeline } from 'node:stream'
import { constants, createGunzip, gunzipSync } from 'node:zlib'

/** A file on disk as it can be served: its bytes as they are, or rows that were read out of one JSON text. */
export interface DiskFile {
  isPacked: boolean
  rows: unknown[] | undefined
}

/** Lines at the beginning of a file that show its form; a few bad ones do not hide it. */
const LINES_LOOKED_AT = 20
const HEAD_BYTES = 2 ** 20
const NAMES = ['deviceid', 'machineid']

/** Looks at the form of a file. Throws one sentence when it is not JSON. */
export function readDiskFile(path: string): DiskFile {
  const raw = headOf(path)
  const isPacked = raw[0] === 0x1f && raw[1] === 0x8b
  const head = isPacked ? unpackHead(raw) : raw
  refuseOtherForms(path, head)
  const lines = linesOf(head.toString('utf8')).slice(0, LINES_LOOKED_AT)
  if (lines.length === 0 || lines.some(isDeviceLine)) return { isPacked, rows: undefined }
  const bytes = readFileSync(path)
  const rows = rowsOfText((isPacked ? gunzipSync(bytes) : bytes).toString('utf8'))
  if (rows) return { isPacked, rows }
  const isCsv = /^[^{[]*[,;\t]/.test((lines[0] ?? '').slice(0, 2000))
  // The store sends a damaged archive as it is: the import says what is wrong with it.
  if (!isCsv && !isPacked && /\.gz$/i.test(path)) return { isPacked: true, rows: undefined }
  throw new Error(
    isCsv
      ? `${path} looks like CSV: export the devices as JSON, one object on each line.`
      : `${path} is not JSON: it needs one object on each line, or one JSON list of devices.`,
  )
}

function headOf(path: string): Buffer {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    return head.subarray(0, readSync(file, head))
  } finally {
    closeSync(file)
  }
}

/** The beginning of a packed text, also of a damaged one. */
function unpackHead(raw: Buffer): Buffer {
  try {
    return gunzipSync(raw, {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: 40 * HEAD_BYTES,
    })
  } catch {
    return Buffer.alloc(0)
  }
}

function refuseOtherForms(path: string, head: Buffer): void {
  if (head.subarray(0, 2).toString('latin1') === 'PK')
    throw new Error(`${path} is a ZIP archive: unpack it, and give the files inside.`)
  const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)
  if (isUtf16) throw new Error(`${path} is UTF-16 text: save it as UTF-8.`)
}

const linesOf = (text: string) =>
  text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)

/** Whether a line is one device: a whole object with an id. */
function isDeviceLine(line: string): boolean {
  const value = parse(line)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.keys(value).some((name) => NAMES.includes(name.toLowerCase()))
}

/** The rows of a page of the JSON method, of a list, of one object, or of such texts line by line. */
function rowsOfText(text: string): unknown[] | undefined {
  const whole = rowsOf(parse(text.replace(/^\uFEFF/, '')))
  if (whole) return whole
  const lines = linesOf(text).map((line) => rowsOf(parse(line)))
  return lines.every((rows) => rows !== undefined) ? lines.flat() : undefined
}

function rowsOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (typeof value !== 'object' || value === null) return undefined
  return 'value' in value && Array.isArray(value.value) ? value.value : [value]
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The text of a file as lines: one object each. */
export async function* openLines(path: string, { isPacked, rows }: DiskFile) {
  if (rows) for (const row of rows) yield Buffer.from(`${JSON.stringify(row)}\n`)
  else if (isPacked) yield* pipeline(createReadStream(path), createGunzip(), () => {})
  else yield* createReadStream(path)
}
