import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, most of it waiting: begun last, they would run alone at the end. */
const longest = [
  'app/heartbeat',
  'local/kill',
  'changes/property',
  'local/host/recovery',
  'portal/portal',
  'local/serving',
  'local/files',
  'local/start',
  'changes/failures',
  'exports/canary',
  'local/orphans',
  'exports/flow',
  'platform/budget-load',
  'changes/flow',
  'local/live',
  'exports/memory',
  'local/tools/package',
  'local/clock',
  'scan-history/routes',
  'exports/resume',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return index < 0 ? longest.length : index
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

/** Folders whose code keeps nothing between calls: their files share processes, which are a third of what they cost. */
const together = ['bicep', 'events', 'local/simulator', 'platform', 'upstreams'].map(
  (dir) => `test/${dir}/**/*.test.ts`,
)

const LONGEST_MS = 600_000

const everywhere = {
  pool: 'forks',
  // Only these end a wait for something that never comes: a slow machine must not reach them.
  testTimeout: LONGEST_MS,
  hookTimeout: LONGEST_MS,
  expect: { poll: { timeout: LONGEST_MS } },
  restoreMocks: true,
} as const

export default defineConfig({
  test: {
    // Many suites wait for child processes and the emulator more than they compute.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    globalSetup: ['test/azurite.setup.ts'],
    projects: [
      { test: { ...everywhere, name: 'alone', include: ['test/**/*.test.ts'], exclude: together } },
      { test: { ...everywhere, name: 'together', include: together, isolate: false } },
    ],
  },
})
