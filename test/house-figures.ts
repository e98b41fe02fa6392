import { limits, measure, walkFiles, walks } from './house-measure.ts'
import { readSources, readTree } from './house-source.ts'

/** Prints how large the house is, for a terminal of 80 columns: `npm run house`. */
const sources = readSources(readTree(new URL('..', import.meta.url).pathname))
const { files, characters, longest, circles, singleUse } = measure(sources)

const row = (name: string, value: number, max?: number) =>
  `${name.padEnd(40)}${value.toLocaleString('en').padStart(10)}${
    max === undefined
      ? ''
      : `   at most ${max.toLocaleString('en')}${value > max ? ', too many' : ''}`
  }`

const lines = [
  'Deployed: functions/ and shared/',
  row('files', files, limits.files),
  row('characters', characters, limits.characters),
  row('circles of files', circles.length, 0),
  ...circles.flatMap((circle) => circle.map((path, index) => `  ${index ? ' ' : '○'} ${path}`)),
  row('files with one importer, in their folder', singleUse.length, limits.singleUse),
  ...singleUse.map((path) => `    ${path}`),
  '',
  `Longest files, in lines of ${limits.lineWidth} characters`,
  ...longest.slice(0, 8).map(({ path, lines }) => row(path, lines, limits.lines)),
  '',
  'Files that are read on a walk',
  ...walks.map((walk) => row(walk.name, walkFiles(sources, walk).length, walk.max)),
]
console.log(lines.join('\n'))
