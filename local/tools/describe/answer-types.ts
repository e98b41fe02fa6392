import { transitionKinds } from '../../../shared/av-health/transitions.ts'
import { resources } from '../../../shared/changes/resources/index.ts'
import { typeOf } from './api-page.ts'
import type { OpenApi, Schema } from './document.ts'

/**
 * The answers of the API as types of TypeScript, for the page: where an answer changes, the page does not compile. And
 * the watched kinds with the states in which something may still happen, and the kinds of changes between snapshots.
 */
export function describeAnswers({ paths, components }: OpenApi): string {
  const shapes = Object.entries(components.schemas).map(
    ([name, schema]) => `export type ${name} = ${typeOf(withoutTexts(schema))}\n`,
  )
  const answers = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { responses }]) => {
      const schema = Object.entries(responses).find(([status]) => Number(status) < 300)?.[1]
        .content?.['application/json']?.schema
      const type = schema ? typeOf(withoutTexts(schema)) : '{}'
      return type === '{}' ? [] : [`  '${method.toUpperCase()} ${path}': ${type}\n`]
    }),
  )
  const kinds = Object.fromEntries(
    resources.map(({ name, title, openStates }) => [name, { title, openStates }]),
  )
  return [
    '// Made by `npm run describe` from the schemas of the routes.\n\n',
    shapes.join('\n'),
    '\n/** The body of a success, by route. */\nexport interface Answers {\n',
    ...answers,
    '}\n\n/** The watched kinds. */\n',
    `export const kinds = ${JSON.stringify(kinds, null, 2)} as const\n`,
    '\n/** What may change on a device between two snapshots. */\n',
    `export const changeKinds = ${JSON.stringify(transitionKinds)} as const\n`,
  ].join('')
}

/** A schema whose members have no descriptions: docs/api.md has them. */
const withoutTexts = (schema: Schema): Schema =>
  JSON.parse(JSON.stringify(schema), (_, value) => {
    if (typeof value?.description === 'string') delete value.description
    return value
  })
