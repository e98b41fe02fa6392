import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { collectPackage } from './collect-package.ts'
import { zip } from './zip.ts'

// Makes the deployment package from the output of `npm run build`: as a folder, which azd zips and publishes, and as
// a zip for other tools.
const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'out/package')
const entries = collectPackage(root)

rmSync(folder, { recursive: true, force: true })
for (const { path, content } of entries) {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}
const archive = zip(entries)
writeFileSync(join(root, 'out/package.zip'), archive)
console.log(
  `out/package.zip: ${entries.length} files, ${(archive.length / 2 ** 20).toFixed(1)} MiB`,
)
