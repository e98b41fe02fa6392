import { introduction, notes, sections } from './api-texts.ts'
import type { OpenApi, Operation, Parameter, Schema } from './document.ts'
import { problemTypes } from './problem-types.ts'

/** Writes the reference page `docs/api.md` from a description; throws for a note on a route that does not exist. */
export function describePage({ paths, components }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      call: `${method.toUpperCase()} /api${path}`,
      operation,
    })),
  )
  const calls = new Set(operations.map(({ call }) => call))
  const unknown = Object.keys(notes).filter((call) => !calls.has(call))
  if (unknown.length > 0) throw new Error(`there is no route for the notes on ${unknown}`)

  const chapters = sections.flatMap(({ title, tags, text }) => [
    `## ${title}`,
    ...(text ? [text] : []),
    ...operations
      .filter(({ operation }) => operation.tags.some((tag) => tags.includes(tag)))
      .flatMap(({ call, operation }) => describeCall(call, operation)),
  ])
  const forgotten = operations.filter(
    ({ operation }) =>
      !sections.some(({ tags }) => operation.tags.some((tag) => tags.includes(tag))),
  )
  if (forgotten.length > 0) throw new Error(`no section holds ${forgotten.map(({ call }) => call)}`)
  return [
    introduction,
    '## Problem types',
    '`type` is `urn:defender-relay:` and one of these names.',
    table(
      ['type', 'status', 'meaning'],
      Object.entries(problemTypes).map(([name, { statuses, meaning }]) => [
        `\`${name}\``,
        statuses.join(', '),
        meaning,
      ]),
    ),
    '## Routes',
    table(
      ['route', 'answers'],
      operations.map(({ call, operation: { description } }) => [
        `[\`${call}\`](#${anchorOf(call)})`,
        description,
      ]),
    ),
    ...chapters,
    '## Shapes',
    'The named shapes of the answers above. A reader must accept members that it does not know.',
    ...Object.entries(components.schemas).flatMap(([name, schema]) => [
      `### ${name}`,
      codeBlock(typeOf(schema)),
    ]),
    '',
  ].join('\n\n')
}

/** The anchor that a Markdown page has for a heading that is code. */
export const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-')

function describeCall(
  call: string,
  { description, parameters = [], requestBody, responses, security }: Operation,
): string[] {
  const body = requestBody?.content['application/json']?.schema
  const rows = [...parameters.map(toRow), ...(body ? membersOf(body) : [])]
  const good = Object.entries(responses).filter(([status]) => Number(status) < 400)
  const problems = Object.keys(responses).filter((status) => Number(status) >= 400)
  return [
    `### \`${call}\``,
    [description, ...(notes[call] ? [notes[call]] : [])].join(' '),
    ...(rows.length > 0 ? [table(['name', 'in', 'value', 'meaning'], rows)] : []),
    good
      .map(([status, { description: text, headers = {}, content }]) => {
        const names = Object.keys(headers).map((name) => `\`${name}\``)
        const schema = content?.['application/json']?.schema
        return [
          `- **${status}** ${text}`,
          ...(names.length > 0 ? [` Headers: ${names.join(', ')}.`] : []),
          ...(schema ? [bodyOf(schema)] : []),
        ].join('')
      })
      .join('\n')
      .trimEnd(),
    `Other statuses: ${problems.join(', ')}.${security?.length === 0 ? ' No key is needed.' : ''}`,
  ]
}

const toRow = ({ name, in: where, required, description = '', schema }: Parameter): string[] => [
  `\`${name}\`${required && where !== 'path' ? ', required' : ''}`,
  where,
  describeValue(schema),
  description,
]

/** The body of an answer: the name of its shape, or the shape itself. */
function bodyOf(schema: Schema): string {
  const shape = typeOf(schema)
  if (schema.$ref) return ` Body: [${shape}](#${shape.toLowerCase()}).`
  if (shape === '{}' || shape === 'unknown') return ''
  return shape.includes('\n')
    ? ` Body:\n\n${indent(codeBlock(shape), '  ')}\n`
    : ` Body: \`${shape}\`.`
}

/** The members of a body, those of objects in it under dotted names. */
function membersOf({ properties = {}, required = [] }: Schema, prefix = ''): string[][] {
  return Object.entries(properties).flatMap(([name, schema]) =>
    schema.properties
      ? membersOf(schema, `${prefix}${name}.`)
      : [
          [
            `\`${prefix}${name}\`${required.includes(name) ? ', required' : ''}`,
            'body',
            describeValue(schema),
            schema.description ?? '',
          ],
        ],
  )
}

/** What a value may be, in words for a table. */
function describeValue(schema: Schema): string {
  const { type, items, default: usual, minLength, maxLength, maxItems, format } = schema
  const length = minLength ? `${minLength} to ${maxLength}` : `at most ${maxLength}`
  const size = maxLength && !schema.pattern ? ` of ${length} characters` : ''
  const words = schema.enum
    ? isEventTypes(schema.enum)
      ? 'an [event type](logic-apps.md#event-types)'
      : schema.enum.map((value) => `\`${value}\``).join(', ')
    : type === 'array'
      ? `list${maxItems ? ` of at most ${maxItems}` : ''}: ${describeValue(items ?? {})}`
      : format === 'date-time'
        ? 'RFC 3339 time'
        : `${type === 'string' ? 'text' : type}${size}`
  return usual === undefined ? words : `${words}; default \`${usual}\``
}

const isEventTypes = (values: unknown[]) =>
  values.length > 1 && values.every((value) => String(value).startsWith('defender-relay.'))

/** A schema in the notation of TypeScript. */
export function typeOf(schema: Schema): string {
  const alternatives = schema.oneOf ?? schema.anyOf ?? schema.allOf
  const plain = alternatives
    ? alternatives.map((one) => typeOf(one)).join(' | ')
    : schema.$ref
      ? (schema.$ref.split('/').at(-1) ?? '')
      : plainTypeOf(schema)
  return schema.nullable && !plain.endsWith('null') ? `${plain} | null` : plain
}

function plainTypeOf(schema: Schema): string {
  if (schema.enum)
    return schema.enum
      .map((value) => (typeof value === 'string' ? `'${value}'` : String(value)))
      .join(' | ')
  if (schema.type === 'array') {
    const item = typeOf(schema.items ?? {})
    return item.includes(' | ') && !item.startsWith('{') ? `(${item})[]` : `${item}[]`
  }
  if (schema.properties) return objectOf(schema)
  if (
    typeof schema.additionalProperties === 'object' &&
    Object.keys(schema.additionalProperties).length > 0
  )
    return `Record<string, ${typeOf(schema.additionalProperties)}>`
  if (schema.type === 'integer') return 'number'
  return schema.type === 'object' ? 'object' : (schema.type ?? 'unknown')
}

const SHORT = 90

function objectOf({ properties = {}, required = [] }: Schema): string {
  const members = Object.entries(properties).map(([name, schema]) => ({
    text: `${/^\w+$/.test(name) ? name : `'${name}'`}${required.includes(name) ? '' : '?'}: ${typeOf(schema)}`,
    comment: schema.description,
  }))
  const line = `{ ${members.map(({ text }) => text).join(', ')} }`
  const isLong =
    line.length > SHORT || line.includes('\n') || members.some(({ comment }) => comment)
  if (members.length === 0) return '{}'
  if (!isLong) return line
  const lines = members.flatMap(({ text, comment }) => [
    ...(comment ? [`// ${comment}`] : []),
    text,
  ])
  return `{\n${indent(lines.join('\n'), '  ')}\n}`
}

const codeBlock = (text: string) => ['```ts', text, '```'].join('\n')
const indent = (text: string, by: string) => text.replace(/^(?=.)/gm, by)
const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replace(/ ?\n/g, ' ')).join(' | ')} |`)
    .join('\n')
