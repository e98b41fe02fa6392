import { expect, test } from 'vitest'
import { createLog } from '../../shared/platform/log.ts'

function recorded() {
  const lines: string[] = []
  const keep = (level: string) => (line: string) => void lines.push(`${level} ${line}`)
  return { lines, log: createLog({ info: keep('info'), warn: keep('warn'), error: keep('error') }) }
}

test('a line is fixed words first, then its facts as JSON', () => {
  const { lines, log } = recorded()

  log.info('export run published', { runId: '1', written: 5 })
  log.warn('export run taken over')
  log.error('export run ended', { reason: null })

  expect(lines).toEqual([
    'info export run published {"runId":"1","written":5}',
    'warn export run taken over',
    'error export run ended {"reason":null}',
  ])
})

test('a line stays one line, for any facts', () => {
  const { lines, log } = recorded()

  log.info('said', { text: 'a\r\ninfo forged {"written":5}' })

  expect(lines[0]?.split(/\r|\n/)).toHaveLength(1)
})

test.each([
  { link: 'https://x/c/b?sv=1&sig=SECRET&se=2' },
  { 'x-functions-key': 'SECRET' },
  { nested: { headers: { authorization: 'Bearer SECRET' } } },
  { said: 'the key AccountKey=SECRET; is wrong' },
  { location: 'https://x/api/continue?ticket=SECRET' },
])('a secret does not come through: %j', (facts) => {
  const { lines, log } = recorded()

  log.error('failed', facts)

  expect(lines[0]).toMatch(/^error failed .*\[hidden\]/)
  expect(lines[0]).not.toContain('SECRET')
})

test('a secret in the words does not come through either', () => {
  const { lines, log } = recorded()

  log.warn('GET https://x/c?sig=SECRET failed')

  expect(lines).toEqual(['warn GET https://x/c?sig=[hidden] failed'])
})

test('the trace of a log stands at the end of every line', () => {
  const lines: string[] = []
  const keep = (line: string) => void lines.push(line)

  const log = createLog({ info: keep, warn: keep, error: keep }, { correlation: 'c-1' })
  log.info('heartbeat', { correlation: 'forged', events: 1 })
  log.warn('alone')

  expect(lines).toEqual([
    'heartbeat {"correlation":"c-1","events":1}',
    'alone {"correlation":"c-1"}',
  ])
})
