import { mkdirSync, writeFileSync } from 'node:fs'
import { describeRoutes, PLACEHOLDER_ORIGIN } from '../shared/app/describe/routes.ts'
import { httpRoutes } from '../shared/app/http.ts'

// Writes the descriptions that are shipped.
const folder = new URL('../docs/', import.meta.url)
mkdirSync(folder, { recursive: true })
for (const [name, description] of Object.entries(describeRoutes(httpRoutes, PLACEHOLDER_ORIGIN))) {
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(description, null, 2)}\n`)
}
