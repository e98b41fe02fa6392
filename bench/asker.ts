/** A caller in a process of its own: asks for the same thing again and again, one request after the other. */
const { url, key, count }: { url: string; key: string; count: number } = JSON.parse(
  process.argv[2] ?? '{}',
)
const timesMs: number[] = []
for (let n = 0; n < count; n++) {
  const startedMs = performance.now()
  const answer = await fetch(url, { headers: { 'x-functions-key': key } })
  await answer.arrayBuffer()
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`)
  timesMs.push(performance.now() - startedMs)
}
process.send?.(timesMs)
process.disconnect()
