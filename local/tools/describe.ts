import { writeFileSync } from 'node:fs'
import { httpRoutes } from '../../shared/app/http.ts'
import { describeAnswers } from './describe/answer-types.ts'
import { describePage } from './describe/api-page.ts'
import { describeEventTypes } from './describe/event-types.ts'
import { describeRoutes } from './describe/routes.ts'

const write = (path: string, text: string) =>
  writeFileSync(new URL(`../../${path}`, import.meta.url), text)

// The descriptions that the app answers, the reference for people, and the types of the portal.
const { openapi, swagger } = describeRoutes(httpRoutes)
write('docs/openapi.json', `${JSON.stringify(openapi, null, 2)}\n`)
write('docs/swagger.json', `${JSON.stringify(swagger, null, 2)}\n`)
const types = { eventTypes: await describeEventTypes() }
write('docs/event-types.json', `${JSON.stringify(types, null, 2)}\n`)
write('docs/api.md', describePage(openapi))
write('portal/answers.ts', describeAnswers(openapi))
