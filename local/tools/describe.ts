import { writeFileSync } from 'node:fs'
import { httpRoutes } from '../../shared/app/http.ts'
import { describeAnswers } from './describe/answer-types.ts'
import { describePage } from './describe/api-page.ts'
import { describeConnector } from './describe/connector-page.ts'
import { describeEventTypes } from './describe/event-types.ts'
import { describeRoutes } from './describe/routes.ts'

const write = (path: string, text: string) =>
  writeFileSync(new URL(`../../${path}`, import.meta.url), text)

// The descriptions that the app answers, the reference for people, the types of the portal, and the connector.
const { openapi, swagger } = describeRoutes(httpRoutes)
write('docs/openapi.json', `${JSON.stringify(openapi, null, 2)}\n`)
write('docs/swagger.json', `${JSON.stringify(swagger, null, 2)}\n`)
const types = { eventTypes: await describeEventTypes() }
write('docs/event-types.json', `${JSON.stringify(types, null, 2)}\n`)
write('docs/api.md', describePage(openapi))
// The same definition, laid out as the other connectors are, and the page that belongs to it.
const connector = 'logic-apps/connector'
write(`${connector}/apiDefinition.swagger.json`, `${JSON.stringify(swagger, null, 4)}\n`)
write(`${connector}/readme.md`, describeConnector(swagger))
write('portal/answers.ts', describeAnswers(openapi))
