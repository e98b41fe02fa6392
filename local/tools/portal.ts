import { createHash } from 'node:crypto'
import { globSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = join(root, 'portal')
const usualFolder = join(root, 'dist/portal')

/** What the page is bundled with: their texts of the licence go with it. */
const bundled = ['preact', 'htm', 'uplot']

/**
 * Bundles the page into a folder: files with a hash of their content in their names, each with its packed forms
 * beside it, and the page that names them. Programs may do so at the same time: a file appears whole, the page last.
 */
export async function buildPortal(folder = usualFolder): Promise<void> {
  // Loaded only to build: a start that finds the page does without it.
  const { rolldown } = await import('rolldown')
  const bundle = await rolldown({
    input: { main: join(source, 'main.ts') },
    platform: 'browser',
    logLevel: 'warn',
    transform: { target: 'es2022' },
  })
  const { output } = await bundle.generate({
    format: 'esm',
    minify: true,
    entryFileNames: '[name]-[hash].js',
    chunkFileNames: '[name]-[hash].js',
  })
  await bundle.close()
  mkdirSync(folder, { recursive: true })
  const write = (name: string, content: Buffer) => writeForms(join(folder, name), content)
  const writeHashed = (name: string, extension: string, text: string) => {
    const hash = createHash('sha256').update(text).digest('base64url').slice(0, 8)
    write(`${name}-${hash}${extension}`, Buffer.from(text))
    return `${name}-${hash}${extension}`
  }
  for (const file of output) if (file.type === 'chunk') write(file.fileName, Buffer.from(file.code))
  const entry = output.find((file) => file.type === 'chunk' && file.isEntry)
  const style = ['portal/style.css', 'node_modules/uplot/dist/uPlot.min.css']
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n')
  const names = {
    SCRIPT: entry?.fileName ?? '',
    STYLE: writeHashed('style', '.css', style),
    ICON: writeHashed('icon', '.svg', readFileSync(join(source, 'icon.svg'), 'utf8')),
    LICENCES: writeHashed('licences', '.txt', bundled.map(licenceOf).join('\n\n')),
  }
  const page = readFileSync(join(source, 'page.html'), 'utf8')
  write(
    'index.html',
    Buffer.from(page.replace(/\{(\w+)\}/g, (_, name: keyof typeof names) => names[name])),
  )
}

/** Builds the page when there is none, or a source of it is newer. */
export async function ensurePortal(): Promise<void> {
  const timeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const built = timeOf(join(usualFolder, 'index.html'))
  const sources = globSync('**/*.{ts,css,svg,html}', { cwd: source })
  if (sources.some((path) => timeOf(join(source, path)) > built)) await buildPortal()
}

/** Writes a file and its packed forms. */
function writeForms(path: string, content: Buffer): void {
  const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  const forms: [suffix: string, bytes: Buffer][] = [
    ['.br', brotliCompressSync(content, { params: quality })],
    ['.gz', gzipSync(content, { level: 9 })],
    ['', content],
  ]
  for (const [suffix, bytes] of forms) {
    const unfinished = `${path}${suffix}.${process.pid}`
    writeFileSync(unfinished, bytes)
    renameSync(unfinished, path + suffix)
  }
}

function licenceOf(name: string): string {
  const folder = join(root, 'node_modules', name)
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return `${name} ${version}\n\n${readFileSync(join(folder, 'LICENSE'), 'utf8').trim()}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPortal()
