/** A guard of the app, and a cell of the matrix that breaks without it. */
export interface Guard {
  name: string
  cell: string
  /** What stands in the app word for word, and what stands there without the guard. */
  without: [file: string, taken: string, instead: string][]
}

/** Guards that are taken out one by one: `npm run faults -- --guards`. */
export const guards: Guard[] = [
  {
    name: 'the rows of all files are written before a run imports',
    cell: 'export by files | begin-run: write Exports file+listing | killed before',
    without: [
      ['shared/exports/begin.ts', '  await files.write(ref, listing.files)\n', ''],
      [
        'shared/exports/begin.ts',
        "  return { state: 'importing', files: numbered.map(({ number }) => number) }",
        "  await files.write(ref, listing.files)\n  return { state: 'importing', files: numbered.map(({ number }) => number) }",
      ],
    ],
  },
  {
    name: 'a link is followed only to its own host',
    cell: 'export by files | begin-run: GET InfoGatheringExport | the links lead elsewhere',
    without: [
      [
        'shared/app/sections/av-health.ts',
        '({ origin }) => origin === upstreamOrigin',
        '() => true',
      ],
    ],
  },
  {
    name: 'a refused token is renewed once',
    cell: 'export by files | begin-run: GET InfoGatheringExport | the token has expired',
    without: [
      ['shared/platform/http.ts', 'if (!isRefusal || !mayRenew) throw error', 'throw error'],
    ],
  },
  {
    name: 'a row that is stored already and has the mark of this line counts as written',
    cell: 'export by files | import-file: write AvHealthSnapshot device | killed after',
    without: [
      [
        'shared/exports/snapshot-writer.ts',
        'if (firstFile === columns.firstFile && firstLine === columns.firstLine) counts.written += 1\n      else ',
        '',
      ],
    ],
  },
  {
    name: 'of two rows of a device the newest wins',
    cell: 'export by files | import-file: GET blob | every device twice',
    without: [['shared/exports/snapshot-writer.ts', 'if (time !== other) return time > other', '']],
  },
  {
    name: 'every listed file is accounted for',
    cell: 'export by files | import-file: GET blob | a file ends early',
    without: [
      ['shared/exports/guards.ts', "files.filter((file) => file.state !== 'imported')", '[]'],
      ['shared/exports/guards.ts', ' || counts.imported !== run.listed', ''],
    ],
  },
  {
    name: 'a fleet of less than 80 % is not published',
    cell: 'export by files | import-file: GET blob | the fleet has shrunk to a half',
    without: [['shared/exports/guards.ts', 'const MIN_DEVICES = 0.8', 'const MIN_DEVICES = 0']],
  },
  {
    name: 'links are erased with their file and with their run',
    cell: 'export by files | start-export: list Exports | killed before',
    without: [
      ['shared/exports/import.ts', 'await links.erase(ref.runId, number)', ''],
      ['shared/exports/publish.ts', 'await links.eraseAll(ref.runId)', ''],
    ],
  },
  {
    name: 'a table is dropped with its run',
    cell: 'export by files | import-file: GET blob | a file is damaged',
    without: [['shared/exports/publish.ts', 'await dropSnapshot(engine, run)', '']],
  },
  {
    name: 'a run that nobody executes is taken over',
    cell: 'export by files | start-export: start executor | killed before',
    without: [
      [
        'shared/exports/start.ts',
        "status === 'live' && silentMs <= SILENCE_MS",
        'silentMs <= SILENCE_MS',
      ],
    ],
  },
  {
    name: 'what an unpublished run has stored of a device does not count as known',
    cell: 'export by files | compare-slice: write AvHealthChanges device+progress | killed before',
    without: [
      [
        'shared/exports/compare.ts',
        "stored && (stored.firstRun ?? '') <= (previous?.runId ?? '') ? stored : undefined",
        'stored',
      ],
    ],
  },
  {
    name: 'the events of transitions go on after the last one that is appended',
    cell: 'export by files | publish-run: write Streams event+head | killed after',
    without: [
      [
        'shared/av-health/events.ts',
        'const after = position?.run === runId ? position : undefined',
        'const after = undefined',
      ],
    ],
  },
  {
    name: 'the event of a snapshot is appended once, under its mark',
    cell: 'export by files | publish-run: list Subscriptions | killed before',
    without: [
      ['shared/events/feed/feed.ts', 'return false', 'void 0'],
      ['shared/events/feed/feed.ts', 'before.state, { mark })', 'before.state)'],
    ],
  },
  {
    name: 'a stream moves only with the ETag of its head, and its events are inserted',
    cell: 'export by files | publish-run: write Streams event+head | another instance does the same meanwhile',
    without: [
      [
        'shared/events/feed/feed.ts',
        "heads.write(key(stream, 'head'), { next, epoch, state, folded }, before.etag)",
        "heads.overwrite(key(stream, 'head'), { next, epoch, state, folded })",
      ],
      ['shared/events/feed/feed.ts', "kind: 'insert',\n", "kind: 'upsert',\n"],
    ],
  },
  {
    name: 'deliveries are written before their events count as dispatched',
    cell: 'dispatch | dispatch-events: write Deliveries due+event | killed before',
    without: [
      [
        'shared/events/delivery/dispatch.ts',
        '    for (const each of interested) queued +=',
        "    await feed.moveCounter(stream, 'dispatched', last)\n    for (const each of interested) queued +=",
      ],
    ],
  },
  {
    name: 'a delivery ends after its post',
    cell: 'delivery | deliver: POST receiver | killed before',
    without: [
      [
        'shared/events/delivery/deliver.ts',
        '  const startedMs = clock.now().getTime()\n',
        "  const startedMs = clock.now().getTime()\n  await settle(deps, turn, delivery, { kind: 'delivered', status: 200 })\n",
      ],
    ],
  },
  {
    name: 'an event has the same id in every post',
    cell: 'delivery | deliver: POST receiver | killed after',
    without: [
      [
        'shared/events/delivery/post.ts',
        '{ id: event.id, at, body }',
        "{ id: randomBytes(9).toString('hex'), at, body }",
      ],
    ],
  },
]

// `npm run faults -- --guards` sets it: the place of the guard that is taken out.
const taken = guards[Number(process.env.FAULTS_WITHOUT)]

/** Loads the app without that guard. Modules are cached by the names of the plugins. */
export const pluginsWithoutGuard = taken
  ? [
      {
        name: `without: ${taken.name}`,
        enforce: 'pre' as const,
        transform(code: string, id: string) {
          const edits = taken.without.filter(([file]) => id.endsWith(`/${file}`))
          return edits.reduce((all, [, words, instead]) => all.replace(words, () => instead), code)
        },
      },
    ]
  : []
