import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { pluginsWithoutGuard } from './test/faults/guards.ts'

/** Files that take longest, most of it waiting: begun last, they would run alone at the end. */
const longest = [
  'app/switches',
  'local/kill',
  'local/kill-readers',
  'local/orphans',
  'app/heartbeat',
  'changes/property',
  'exports/canary',
  'local/files',
  'local/start',
  'local/host/recovery',
  'portal/portal',
  'portal/states',
  'portal/browser',
  'faults/faults',
  'local/live',
  'local/serving',
  'local/clock',
  'local/options',
  'exports/export-switches',
  'exports/flow',
  'scan-history/routes',
  'changes/failures',
  'changes/true-answers',
  'platform/bounds',
  'platform/budget-load',
  'exports/resume',
  'exports/fencing',
  'local/tools/package',
  'exports/memory',
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

/** Files whose processes others can't use afterwards: they change what all files share, or measure their process. */
const alone = [
  'app/third-kind',
  'changes/property',
  'exports/memory',
  'exports/source-rows',
  'faults/*',
  'functions/*',
  'local/*',
  'local/host/*',
  'portal/*',
].map((name) => `test/${name}.test.ts`)

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
      { plugins: pluginsWithoutGuard, test: { ...everywhere, name: 'alone', include: alone } },
      // Files that share processes cost a third less.
      {
        test: {
          ...everywhere,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          isolate: false,
        },
      },
    ],
  },
})
