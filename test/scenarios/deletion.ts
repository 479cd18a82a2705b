import { running, suspended } from './endings.ts'
import type { Scenario } from './scenario.ts'

/** FlinkJobs that go away, in whatever state they are. */
const savepoint = { upgradeMode: 'savepoint' }

const policies: readonly Scenario[] = (['Keep', 'Delete', 'Savepoint'] as const).map(deletionPolicy => ({
  name: `deleted with policy ${deletionPolicy} it is gone`,
  steps: [{ apply: { job: savepoint, spec: { deletionPolicy } } }, { until: running(1) }, { remove: 'job' }],
  ends: { gone: true, snapshots: deletionPolicy === 'Savepoint' ? ['COMPLETED'] : [] },
  starts: ['1 none'],
}))

export const deletionScenarios: readonly Scenario[] = [
  ...policies,
  { name: 'deleted at once nothing is left', steps: [{ apply: {} }, { remove: 'job' }], ends: { gone: true }, starts: [] },
  {
    name: 'deleted while it is deployed nothing is left',
    steps: [{ apply: {} }, { until: { lifecycle: 'UPGRADING' } }, { remove: 'job' }],
    ends: { gone: true },
    starts: [],
    absent: { local: 'whether it was submitted before it was deleted is a matter of time', kubernetes: 'as on this machine' },
  },
  {
    name: 'deleted in an upgrade nothing is left',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { upgrading: true } },
      { remove: 'job' },
    ],
    ends: { gone: true },
    starts: ['1 none'],
  },
  {
    name: 'deleted while it is suspended it is gone',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { remove: 'job' },
    ],
    ends: { gone: true, snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'deleted when it has finished it is gone',
    steps: [{ apply: { program: 'finite', spec: { deletionPolicy: 'Delete' } } }, { until: { state: 'FINISHED' } }, { remove: 'job' }],
    ends: { gone: true },
    starts: ['1 none'],
  },
  {
    name: 'deleted when it has failed it is gone',
    steps: [
      { apply: { program: 'failing', spec: { deletionPolicy: 'Savepoint', restartStrategy: { type: 'none' } } } },
      { until: { state: 'FAILED' } },
      { remove: 'job' },
    ],
    ends: { gone: true, snapshots: [] },
    starts: ['1 none'],
  },
  {
    name: 'deleted when it could not be planned it is gone',
    steps: [{ apply: { program: 'broken' } }, { until: { lifecycle: 'FAILED' } }, { remove: 'job' }],
    ends: { gone: true },
    starts: [],
  },
  {
    name: 'a savepoint that fails holds the deletion, by name, until it can be taken',
    steps: [
      { apply: { job: savepoint, spec: { deletionPolicy: 'Savepoint' } } },
      { until: running(1) },
      { savepoints: 'fail' },
      { remove: 'job' },
      {
        until: {
          lifecycle: 'DELETING',
          conditions: ['DeletionBlocked=True NoSavepoint'],
          says: /the savepoint before the deletion could not be taken/,
        },
      },
      { savepoints: 'work' },
    ],
    ends: { gone: true, snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'a deletion that is held by its savepoint goes on without when that is forced',
    steps: [
      { apply: { job: savepoint, spec: { deletionPolicy: 'Savepoint' } } },
      { until: running(1) },
      { savepoints: 'fail' },
      { remove: 'job' },
      { until: { conditions: ['DeletionBlocked=True NoSavepoint'] } },
      { annotate: { 'millrace.dev/force-delete': 'true' } },
    ],
    ends: { gone: true, snapshots: [] },
    starts: ['1 none'],
  },
  {
    name: 'deleted and made again it is another job, which begins empty',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { remove: 'job' }, { until: { gone: true } }, { apply: { job: savepoint } }],
    ends: running(1),
    starts: ['1 none', '2 none'],
  },
]
