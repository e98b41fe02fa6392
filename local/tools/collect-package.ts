import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { z } from 'zod'
import type { ZipEntry } from './zip.ts'

const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  main: z.string(),
  dependencies: z.record(z.string(), z.string()),
})
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
      devOptional: z.boolean().optional(),
    }),
  ),
})

/** Not needed in Azure, and two thirds of the size. */
const ballast = /\.(?:map|[cm]?ts|md)$/i
/** The text of a licence goes where the module goes. */
const licence = /^(?:licen[cs]e|copying|notice|copyright|third-?party)/i

const descriptions = ['docs/openapi.json', 'docs/swagger.json', 'docs/event-types.json']

/**
 * The files to deploy: the compiled files of the folder `dist`, host.json, the API descriptions, a package.json with only
 * what the platform needs, and the production modules of the lock file. Optional modules are left out: they are the Node
 * binary for laptops, and Azure has its own.
 */
export function collectPackage(root: string, dist = join(root, 'dist')): ZipEntry[] {
  const read = (file: string) => readFileSync(join(root, file))
  const { name, version, main, dependencies } = manifestSchema.parse(
    JSON.parse(read('package.json').toString()),
  )
  const { packages } = lockSchema.parse(JSON.parse(read('package-lock.json').toString()))
  const modules = Object.entries(packages).flatMap(([path, { dev, optional, devOptional }]) =>
    path === '' || dev || optional || devOptional ? [] : [path],
  )
  const manifest = { name, version, private: true, type: 'module', main, dependencies }
  const entries = [
    { path: 'host.json', content: read('host.json') },
    { path: 'package.json', content: Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`) },
    ...descriptions.map((path) => ({ path, content: read(path) })),
    ...filesBelow(dist, 'dist'),
    ...modules.flatMap((path) => withLicence(join(root, path), path)),
  ]
  const missing = [main, 'dist/portal/index.html'].find(
    (wanted) => !entries.some(({ path }) => path === wanted),
  )
  if (missing) throw new Error(`${missing} is missing: npm run build makes it`)
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** The files of a module; where no file has its licence, the README may have it. */
function withLicence(folder: string, path: string): ZipEntry[] {
  const files = filesBelow(folder, path)
  if (files.some((file) => licence.test(posix.basename(file.path)))) return files
  const readmes = readdirSync(folder).filter((name) => /^readme\b/i.test(name))
  return [
    ...files,
    ...readmes.map((name) => ({
      path: posix.join(path, name),
      content: readFileSync(join(folder, name)),
    })),
  ]
}

function filesBelow(folder: string, path: string): ZipEntry[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const from = join(folder, entry.name)
    const to = posix.join(path, entry.name)
    // Modules within modules have lines of their own in the lock file.
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(from, to)
    return entry.isFile() && (licence.test(entry.name) || !ballast.test(entry.name))
      ? [{ path: to, content: readFileSync(from) }]
      : []
  })
}
