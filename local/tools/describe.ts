import { writeFileSync } from 'node:fs'
import { httpRoutes } from '../../shared/app/http.ts'
import { describeRoutes } from './describe/routes.ts'

// Writes the API descriptions that the app answers.
for (const [name, description] of Object.entries(describeRoutes(httpRoutes))) {
  const file = new URL(`../../docs/${name}.json`, import.meta.url)
  writeFileSync(file, `${JSON.stringify(description, null, 2)}\n`)
}
