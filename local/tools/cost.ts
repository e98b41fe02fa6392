import { readFileSync, writeFileSync } from 'node:fs'
import type { Counts } from './cost/month.ts'
import { costPage, totalsSentence } from './cost/page.ts'
import { play } from './cost/play.ts'
import { readTemplateFacts } from './cost/template-facts.ts'

/**
 * `npm run cost`: plays a day, counts it, and writes the counts, `docs/cost.md` and the totals in the README.
 * `npm run cost -- --page`: writes both pages from the stored counts.
 */
const at = (path: string) => new URL(path, import.meta.url)
const countsFile = at('cost/counts.json')
const [option, ...more] = process.argv.slice(2)
if (more.length > 0 || (option !== undefined && option !== '--page')) {
  console.error('Usage: npm run cost [-- --page]')
  process.exit(2)
}
if (option === undefined) {
  const small = await play({ devices: 10_000, actionsPerHour: 100 / 24, hours: 24 })
  const large = await play({ devices: 20_000, actionsPerHour: 10_000 / 24, hours: 1 })
  const playedOn = new Date().toISOString().slice(0, 10)
  writeFileSync(countsFile, `${JSON.stringify({ playedOn, small, large }, null, 2)}\n`)
}
const counts: Counts = JSON.parse(readFileSync(countsFile, 'utf8'))
const facts = readTemplateFacts()
writeFileSync(at('../../docs/cost.md'), costPage(counts, facts))
const readme = readFileSync(at('../../README.md'), 'utf8')
const sentence = totalsSentence(counts, facts)
writeFileSync(
  at('../../README.md'),
  readme.replace(/A month costs about [\d,]+ US dollars [^([]*(?=\s\()/, sentence),
)
console.log(sentence)
process.exit()
