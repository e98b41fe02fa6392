import { expect, test } from 'vitest'
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
