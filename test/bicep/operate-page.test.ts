import { expect, test } from 'vitest'
import { problemCodes } from '../../shared/app/problem-codes.ts'
import { readAlertRules } from './alert-rules.ts'
import { readText } from './template-texts.ts'

const page = readText('docs/operate.md')
const rowsOf = (section: string) =>
  [...(page.split(`\n## ${section}\n`)[1]?.split('\n## ')[0] ?? '').matchAll(/^\| (.+) \|$/gm)].map(
    ([, row = '']) => row.split(/ *\| */),
  )

test('docs/operate.md lists every alert rule with its severity', () => {
  const listed = rowsOf('Heartbeat and alerts').flatMap(([names = '', severity]) =>
    [...names.matchAll(/`([\w-]+)`/g)].map(([, name]) => `${name} ${severity}`),
  )

  expect(listed.toSorted()).toEqual(
    readAlertRules()
      .map(({ name, severity }) => `${name} ${severity}`)
      .toSorted(),
  )
})

test('docs/operate.md has one paragraph for each code of a problem, in the order of the list', () => {
  const paragraphs = [...page.matchAll(/^\*\*`([\w-]+)`\*\* \((.+?)\)\. (.{40,})/gm)]
  const word = ({ severity, alert }: { severity: string; alert: boolean }) =>
    alert === (severity === 'notice')
      ? alert
        ? `${severity}, alerts`
        : `${severity}, no alert`
      : severity

  expect(paragraphs.map(([, code, said]) => `${code}: ${said}`)).toEqual(
    Object.entries(problemCodes).map(([code, one]) => `${code}: ${word(one)}`),
  )
})
