import { describe, expect, test } from 'vitest'
import { startScanCaller } from './scan-caller.ts'

const dayMs = 24 * 3_600_000
const found = (info: number, critical: number) => ({ info, low: 1, medium: 2, high: 3, critical })
/** Keys that an archived run does not have. */
const goneKeys = ['hosts', 'vulnerabilities', 'comphosts', 'compliance', 'filters']

describe('details', () => {
  test('have the findings on each host, with times in seconds since 1970', async () => {
    const { simulator, tenable } = await startScanCaller({ scans: { samples: false } })
    simulator.scans.tenable.put({
      id: 7,
      name: 'Servers',
      runs: [
        {
          startedAt: '2026-11-19T10:00:00Z',
          endedAt: '2026-11-19T11:00:00Z',
          hosts: [found(10, 4), found(5, 0)],
        },
      ],
    })

    const { status, body } = await tenable('scans/7')

    expect(status).toBe(200)
    expect(Object.keys(body).sort()).toEqual(
      [...goneKeys, 'history', 'info', 'notes', 'remediations'].sort(),
    )
    expect(body.info).toMatchObject({
      name: 'Servers',
      status: 'completed',
      hostcount: 2,
      is_archived: false,
      scan_type: 'ps',
      object_id: 7,
      scan_start: 1_795_082_400,
      scan_end: 1_795_086_000,
      schedule_uuid: expect.stringMatching(/^template-/),
    })
    expect(body.hosts[0]).toMatchObject({
      progress: '100-100/200-200',
      info: 10,
      critical: 4,
      host_index: 0,
      // The number of findings, and a score with weights of ten.
      severity: 20,
      score: 10 + 10 + 200 + 3000 + 40_000,
      severitycount: {
        item: [10, 1, 2, 3, 4].map((count, severitylevel) => ({ count, severitylevel })),
      },
    })
    expect(body.vulnerabilities.map((one: { count: number }) => one.count)).toEqual([
      15, 2, 4, 6, 4,
    ])
  })

  test('list runs with other names than the list of runs', async () => {
    const { tenable } = await startScanCaller()

    const [details, history] = [await tenable('scans/101'), await tenable('scans/101/history')]

    const own = details.body.history[0]
    const listed = history.body.history[0]
    expect(Object.keys(own)).toEqual([
      'history_id',
      'uuid',
      'owner_id',
      'status',
      'type',
      'creation_date',
      'last_modification_date',
      'scheduler',
      'alt_targets_used',
      'is_archived',
    ])
    expect(Object.keys(listed)).toEqual([
      'id',
      'scan_uuid',
      'status',
      'reporting_mode',
      'is_archived',
      'visibility',
      'targets',
      'time_start',
      'time_end',
    ])
    expect([own.history_id, own.uuid, own.creation_date, own.last_modification_date]).toEqual([
      listed.id,
      listed.scan_uuid,
      listed.time_start,
      listed.time_end,
    ])
  })

  test('are those of the newest run, or of the one that is named by number or UUID', async () => {
    const { simulator, tenable } = await startScanCaller()
    const [first, second, , newest] = simulator.scans.tenable.get(101)?.runs ?? []

    const uuids = []
    for (const query of ['', `?history_id=${first?.id}`, `?history_id=${second?.uuid}`]) {
      uuids.push((await tenable(`scans/101${query}`)).body.info.uuid)
    }

    expect(uuids).toEqual([newest?.uuid, first?.uuid, second?.uuid])
  })

  test('an unknown scan and an unknown run are answered alike', async () => {
    const { tenable } = await startScanCaller()

    const answers = [
      await tenable('scans/999'),
      await tenable('scans/101?history_id=1'),
      await tenable('scans/999/history'),
      await tenable('scans/999/latest-status'),
    ]

    expect(answers.map(({ status, body }) => [status, body])).toEqual(
      Array.from({ length: 4 }, () => [404, { error: 'Scan not found' }]),
    )
  })

  test('of an archived run have no hosts and no number of hosts, but history, notes and remediations', async () => {
    const { tenable } = await startScanCaller()

    const [archived, imported] = [await tenable('scans/111'), await tenable('scans/112')]

    for (const { body } of [archived, imported]) {
      for (const key of goneKeys) expect(body).not.toHaveProperty(key)
      expect(body.info).not.toHaveProperty('hostcount')
      expect(body.info).toMatchObject({ is_archived: true, haskb: false, hasaudittrail: false })
      expect(body.history.length).toBeGreaterThan(0)
      expect(body.notes.length).toBeGreaterThan(0)
      expect(body.remediations.num_hosts).toBe(3)
    }
    expect(imported.body.info).toMatchObject({
      scan_type: null,
      targets: null,
      policy: null,
      scanner_name: null,
      alt_targets_used: null,
      'pci-can-upload': null,
    })
    expect(imported.body.history[0].type).toBeNull()
  })

  test('are archived when the run ended more than 35 days ago', async () => {
    const { simulator, clock, tenable } = await startScanCaller()
    const endedAt = clock.now().toISOString()
    simulator.scans.tenable.put({ id: 7, runs: [{ endedAt }] })

    clock.advance(35 * dayMs)
    const before = await tenable('scans/7')
    clock.advance(1)
    const after = await tenable('scans/7')

    expect([before, after].map(({ body }) => 'hosts' in body)).toEqual([true, false])
  })

  test('of a scan of thousands of hosts are the same each time', async () => {
    const { simulator, tenable } = await startScanCaller()
    simulator.scans.tenable.put({ id: 7, runs: [{ hosts: 5000 }] })

    const [first, second] = [await tenable('scans/7'), await tenable('scans/7')]

    expect(first.body.hosts).toHaveLength(5000)
    expect(first.text.length).toBeGreaterThan(2_000_000)
    expect(second.text).toBe(first.text)
  })

  test('of a scan of a web application are refused or fail, while its status and its runs are answered', async () => {
    const { tenable } = await startScanCaller()

    const refused = await tenable('scans/114')
    const failed = await tenable('scans/115')
    const [status, history] = [
      await tenable('scans/114/latest-status'),
      await tenable('scans/114/history'),
    ]

    expect([refused.status, refused.body.message]).toEqual([403, 'Insufficient scope'])
    expect([failed.status, Object.keys(failed.body)]).toEqual([
      500,
      ['statusCode', 'error', 'message'],
    ])
    expect(status.body).toEqual({ status: 'completed' })
    expect(history.body.history).toHaveLength(1)
  })
})
