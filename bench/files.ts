import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createFleet } from '../local/simulator/fleet.ts'

/** `paged`: rows of the paged method; `nested`: lines of an export file, with JSON text inside JSON text. */
export type Shape = 'paged' | 'nested'

const SAMPLES = 5000
const PLACE = 'bench-device-id'

/** A packed file of `rows` devices, each with an id of its own, from the `first` one on; made once for a machine. */
export function fileOf(shape: Shape, rows: number, first = 0): string {
  const folder = join(tmpdir(), 'defender-relay-bench-2')
  const path = join(folder, `${shape}-${rows}-${first}.json.gz`)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  const texts = samplesOf(shape)
  const packed: Buffer[] = []
  let text = ''
  for (let row = 0; row < rows; row++) {
    text += `${lineOf(texts, first + row)}\n`
    if (row % 5000 === 4999 || row === rows - 1) {
      // Members of a gzip file may follow one another.
      packed.push(gzipSync(text))
      text = ''
    }
  }
  writeFileSync(`${path}.part`, Buffer.concat(packed))
  renameSync(`${path}.part`, path)
  return path
}

const lineOf = (texts: string[][], row: number) => (texts[row % SAMPLES] ?? []).join(idOf(row))

/** Ids come in no order, and spread evenly over the partitions. */
function idOf(row: number): string {
  const head = (Math.imul(row + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
  return head + row.toString(16).padStart(32, '0')
}

const samples: Partial<Record<Shape, string[][]>> = {}

/** Rows in pieces, between which the id stands. */
function samplesOf(shape: Shape): string[][] {
  const known = samples[shape]
  if (known) return known
  const options = { size: SAMPLES, files: 1, badLines: 0, duplicates: 0, zeroRowFiles: 0 }
  const fleet = createFleet(options)
  const rows =
    shape === 'paged'
      ? [...fleet.jsonRows()].map((row) => JSON.stringify({ ...row, id: PLACE, machineId: PLACE }))
      : [...(fleet.files[0]?.lines() ?? [])].map((line) =>
          JSON.stringify({ ...JSON.parse(line), DeviceId: PLACE, DeviceName: `desktop-${PLACE}` }),
        )
  samples[shape] = rows.map((text) => text.split(PLACE))
  return samplesOf(shape)
}

/** The rows of the first file of so many devices, parsed one by one. */
export function* rowsOf(shape: Shape, rows: number): Generator<Record<string, unknown>> {
  const texts = samplesOf(shape)
  for (let row = 0; row < rows; row++) yield JSON.parse(lineOf(texts, row))
}
