/** What came out of a cell. */
export interface Result {
  /** Its place in the matrix. */
  place: number
  /** `<subject> | <step> | <fault>`, and perhaps where it was played. */
  name: string
  outcome: string
}

const HEAD = `# What happens when things fail

For those who run the app and those who change it: what was tried at each step of its work, and what came out.

\`npm run faults\` writes this page. It plays every line on the app itself: its real functions, the simulated upstreams,
and a storage account in memory (some lines: the storage emulator). A *step* is a request that the app sends while it
does its work: to its tables and queues, to an upstream, to a receiver, or to the durable engine. At that step the fault
happens. Then it ends, and the schedules go on. A cell passes only when afterwards

- each published snapshot is one whole export of the upstream, and its run counts it rightly;
- a run that has failed says why, and the snapshot before it was shown all the time;
- each change of the upstream is exactly one event in the feed, and so is each published snapshot;
- each difference between two published exports, computed from the simulated devices, is exactly one event, is in the history
  of its device, and is counted once;
- each event has reached the subscriber at least once, always under the same id and in the same form;
- no link and no token is in a table, a queue or the log, and none was sent to another host;
- no lease is held, no message waits, no table is left without a run;
- the upstream never had to refuse a call as one too many.

A number in brackets says at how many requests of that kind the fault was tried, each as a cell of its own. A step has
one line for each thing that came out of it, so a fault can stand in two of them. In the last section a real host is
killed and started again. The words:

| word | meaning |
|---|---|
| killed before, killed after | the instance of the app dies, and its storage lives on: when the request is about to leave, or when it has been carried out and its answer is not read yet |
| executor | the durable orchestration that carries out a run |
| by another executor | the schedule \`resume-exports\` found the run without a live executor and began another one, which finished it |
| without changes | the snapshot is published; what changed since the one before was not compared in time, and the run says so |
| started again | the upstream replaced the export meanwhile, so the app began a new run by itself |
`

/** The page for these results. */
export function toPage(results: Result[]): string {
  const sorted = results.toSorted((a, b) => a.place - b.place)
  const bySubject = Map.groupBy(sorted, ({ name }) => name.split(' | ')[0] ?? '')
  const sections = [...bySubject].map(([subject, own]) => toSection(subject, own))
  return `${HEAD}\n${results.length.toLocaleString('en-US')} cells in all.\n${sections.join('')}`
}

function toSection(subject: string, results: Result[]): string {
  const byStep = Map.groupBy(results, ({ name }) =>
    (name.split(' | ')[1] ?? '').replace(/ \(\d+\)$/, ''),
  )
  const rows = [...byStep].flatMap(([step, ofStep]) =>
    [...Map.groupBy(ofStep, ({ outcome }) => outcome)].map(
      ([outcome, same]) => `| ${step} | ${faultsOf(same)} | ${outcome.replaceAll('|', '/')} |\n`,
    ),
  )
  const title = `${subject[0]?.toUpperCase()}${subject.slice(1)}`
  return `\n## ${title}\n\n| step | fault | what came out |\n|---|---|---|\n${rows.join('')}`
}

/** The faults of some cells of one step, each with the number of requests that it was tried at. */
function faultsOf(results: Result[]): string {
  const names = results.map(({ name }) => name.split(' | ').slice(2).join(', '))
  const counts = [...Map.groupBy(names, (name) => name)]
  return counts.map(([name, { length }]) => (length > 1 ? `${name} (${length})` : name)).join('; ')
}
