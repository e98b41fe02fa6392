import { writeFileSync } from 'node:fs'
import { httpRoutes } from '../../shared/app/http.ts'
import { describePage } from './describe/api-page.ts'
import { describeRoutes } from './describe/routes.ts'

const write = (name: string, text: string) =>
  writeFileSync(new URL(`../../docs/${name}`, import.meta.url), text)

// The descriptions that the app answers, and the page for people.
const { openapi, swagger } = describeRoutes(httpRoutes)
write('openapi.json', `${JSON.stringify(openapi, null, 2)}\n`)
write('swagger.json', `${JSON.stringify(swagger, null, 2)}\n`)
write('api.md', describePage(openapi))
