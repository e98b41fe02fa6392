import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { usualFaults } from '../../../local/simulator/faults.ts'
import { createFleet } from '../../../local/simulator/fleet.ts'
import { belowContainer, linesOf, startCaller } from './caller.ts'

test.each([false, true])(
  'the files hold the lines of the fleet (odd but legal forms: %s)',
  async (legalWeird) => {
    const fleet = createFleet({ size: 2000, files: 13, badLines: 8, oversizedLines: 1 })
    const { list } = await startCaller({ fleet, faults: { legalWeird } })

    const { exportFiles, generatedTime } = await list()
    const contents = await Promise.all(exportFiles.map(async (link) => linesOf(await fetch(link))))

    expect(contents).toEqual(fleet.files.map((file) => [...file.lines()]))
    expect(exportFiles.map(belowContainer)).toEqual(fleet.files.map(({ path }) => path))
    expect(generatedTime).toBe(fleet.options.generatedTime)
  },
)

test('a link expires at its time', async () => {
  const { clock, list } = await startCaller()
  const [link = ''] = (await list()).exportFiles
  const good = await fetch(link)

  clock.advance(Date.parse(new URL(link).searchParams.get('se') ?? '') - clock.now().getTime())
  const over = await fetch(link)

  expect(good.status).toBe(200)
  expect(over.status).toBe(403)
  expect(over.headers.get('content-type')).toBe('application/xml')
  expect(await over.text()).toMatch(
    /<Code>AuthenticationFailed<\/Code>.*not valid in the specified time frame/s,
  )
})

test.each<[string, (link: string) => string]>([
  ['another end', (link) => link.replace(/se=\d{4}/, 'se=2099')],
  ['another file', (link) => link.replace('part-00000', 'part-00001')],
  ['another container', (link) => link.replace('/temp-', '/temp-0')],
  ['no signature', (link) => link.replace(/&sig=.*/, '')],
  ['a cut signature', (link) => link.slice(0, -6)],
])('a link with %s opens nothing', async (_what, alter) => {
  const { list } = await startCaller()
  const [link = ''] = (await list()).exportFiles

  const refused = await fetch(alter(link))

  expect(refused.status).toBe(403)
  expect(await refused.text()).toContain('<Code>AuthenticationFailed</Code>')
})

test('a second listing shows the same snapshot in another container', async () => {
  const { list } = await startCaller()

  const [first, second] = [await list(), await list()]

  expect(second.generatedTime).toBe(first.generatedTime)
  expect(second.exportFiles.map(belowContainer)).toEqual(first.exportFiles.map(belowContainer))
  expect(second.exportFiles[0]?.split('/')[4]).not.toBe(first.exportFiles[0]?.split('/')[4])
  expect((await fetch(second.exportFiles[0] ?? '')).status).toBe(200)
})

test('a file that is not ready is empty with that status, and complete some seconds after the first listing', async () => {
  const { clock, list, simulator } = await startCaller({
    faults: { notReadyFiles: 1, notReadySeconds: 5 },
  })
  const { exportFiles } = await list()
  const [link = '', other = ''] = exportFiles

  const early = await fetch(link)
  const untouched = await fetch(other)
  clock.advance(5000)
  const ready = await fetch(link)

  expect([early.status, early.headers.get('x-ms-copy-status')]).toEqual([200, 'pending'])
  expect(early.headers.get('x-ms-copy-progress')).toMatch(/^0\/\d+$/)
  expect(await early.text()).toBe('')
  expect((await linesOf(untouched)).length).toBeGreaterThan(0)
  expect(ready.headers.get('x-ms-copy-status')).toBe('success')
  expect((await linesOf(ready)).length).toBeGreaterThan(0)
  expect(simulator.downloads.get(belowContainer(link))).toBe(1)
})

test('a file without rows is empty and its copy is done', async () => {
  const fleet = createFleet({ size: 100, files: 4 })
  const { list } = await startCaller({ fleet })
  const { exportFiles } = await list()

  const empty = await fetch(exportFiles[fleet.files.findIndex(({ rows }) => rows === 0)] ?? '')

  expect([empty.status, empty.headers.get('x-ms-copy-status')]).toEqual([200, 'success'])
  expect((await empty.arrayBuffer()).byteLength).toBe(0)
})

test.each([false, true])(
  'links of the first listing can be short-lived (user delegation: %s)',
  async (delegated) => {
    const { list, clock } = await startCaller({
      faults: { shortLivedLinks: 2, userDelegation: delegated },
    })
    const first = (await list()).exportFiles
    const second = (await list()).exportFiles
    clock.advance(2000)

    const statuses = await Promise.all(
      [...first, ...second].map(async (link) => (await fetch(link)).status),
    )

    const usable = first.length - 2
    expect(statuses).toEqual([
      ...Array(usable).fill(200),
      403,
      403,
      ...Array(second.length).fill(200),
    ])
    const cut = new URL(first.at(-1) ?? '').searchParams
    expect(Date.parse(cut.get(delegated ? 'ske' : 'se') ?? '')).toBeLessThan(clock.now().getTime())
    expect(cut.has('skoid')).toBe(delegated)
  },
)

test('every issued signature is known, and a token sent to the blob store is refused and recorded', async () => {
  const { list, simulator, token } = await startCaller()
  const { exportFiles } = await list()

  const leaked = await fetch(exportFiles[0] ?? '', {
    headers: { authorization: `Bearer ${await token()}` },
  })

  expect(leaked.status).toBe(400)
  expect(simulator.leaks).toEqual([decodeURIComponent(new URL(exportFiles[0] ?? '').pathname)])
  for (const link of exportFiles) {
    expect(simulator.issuedSecrets).toContain(new URL(link).searchParams.get('sig'))
    expect(simulator.issuedSecrets).toContain(link.split('sig=')[1])
  }
})

test('a new snapshot can be published, and links to the first stay valid', async () => {
  const { list, simulator } = await startCaller()
  const before = await list()
  simulator.setFaults({ changeGeneratedTime: true })

  const after = await list()

  // It is seven o'clock: six hours later would be in the future.
  expect(after.generatedTime).toBe('2026-11-20T07:00:00Z')
  expect(after.exportFiles.map(belowContainer)).not.toEqual(before.exportFiles.map(belowContainer))
  expect((await fetch(before.exportFiles[0] ?? '')).status).toBe(200)
  expect((await list()).generatedTime).toBe('2026-11-20T07:00:00Z')
})

test('the list can be empty, and without a time', async () => {
  const { list } = await startCaller({ faults: { emptyList: true, nullGeneratedTime: true } })

  const listing = await list()

  expect(listing).toMatchObject({ exportFiles: [], generatedTime: null })
})

test('damaged, cut and unpacked files are different files', async () => {
  const { list } = await startCaller({ faults: { badGzip: 1, truncatedGzip: 1, nonGzip: 1 } })
  const { exportFiles } = await list()

  // The third of the four files has no rows.
  const [damaged, cut, unpacked] = await Promise.all(
    [0, 1, 3].map((index) => fetch(exportFiles[index] ?? '')),
  )

  await expect(linesOf(damaged as Response)).rejects.toThrow()
  await expect(linesOf(cut as Response)).rejects.toThrow(/unexpected end of file/)
  expect((await unpacked?.text())?.startsWith('{"RbacGroupName"')).toBe(true)
})

test('a download can be cut off in the middle, and succeeds the next time', async () => {
  const { list } = await startCaller({ faults: { dropMidway: 1 } })
  const [link = ''] = (await list()).exportFiles

  const broken = fetch(link).then((response) => response.arrayBuffer())

  await expect(broken).rejects.toThrow()
  expect((await linesOf(await fetch(link))).length).toBeGreaterThan(0)
})

test('a slow file takes time by the clock', async () => {
  const { list, clock } = await startCaller({
    fleet: createFleet({ size: 600, files: 1 }),
    faults: { chunkedPauses: { pieces: 4, pauseMs: 60_000 } },
  })
  const [link = ''] = (await list()).exportFiles

  const response = await fetch(link)
  const ticking = setInterval(() => clock.advance(10_000), 1)
  onTestFinished(() => clearInterval(ticking))
  const startedAt = clock.now().getTime()
  const lines = await linesOf(response)

  expect(response.headers.has('content-length')).toBe(false)
  expect(lines).toHaveLength(615)
  expect(clock.now().getTime() - startedAt).toBeGreaterThanOrEqual(3 * 60_000)
})

test('the blob store can be busy', async () => {
  const { list } = await startCaller({ faults: { blobStatus: { answer: 503, calls: 1 } } })
  const [link = ''] = (await list()).exportFiles

  const [busy, good] = [await fetch(link), await fetch(link)]

  expect([busy.status, busy.headers.get('x-ms-error-code')]).toEqual([503, 'ServerBusy'])
  expect(good.status).toBe(200)
})

test('files on disk can be served in place of the fleet, with gzip or without', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'simulator-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const files = [join(folder, 'a.json.gz'), join(folder, 'b.json')]
  await writeFile(files[0] ?? '', gzipSync('{"DeviceId":"aa"}\n'))
  await writeFile(files[1] ?? '', '{"DeviceId":"bb"}\n')
  const { list } = await startCaller({ files })

  const { exportFiles } = await list()

  const contents = await Promise.all(exportFiles.map(async (link) => linesOf(await fetch(link))))
  expect(contents).toEqual([['{"DeviceId":"aa"}'], ['{"DeviceId":"bb"}']])
  expect(new Set(exportFiles.map(belowContainer)).size).toBe(2)
})

test('on a normal day one file is not ready, one link has expired, and everything works some seconds later', async () => {
  const fleet = createFleet({ size: 300 })
  const { list, clock } = await startCaller({ fleet, faults: usualFaults })
  const first = (await list()).exportFiles
  const early = await Promise.all(
    first.map(async (link) => [(await fetch(link)).headers.get('x-ms-copy-status')]),
  )
  clock.advance(usualFaults.notReadySeconds * 1000)

  const second = (await list()).exportFiles
  const contents = await Promise.all(second.map(async (link) => linesOf(await fetch(link))))

  expect(early.flat()).toEqual(['pending', 'success', 'success', null])
  expect(contents.flat()).toHaveLength(fleet.counts.lines)
})
