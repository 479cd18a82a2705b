import { running } from './endings.ts'
import type { Scenario } from './scenario.ts'

/** Savepoints and checkpoints that somebody asks for. */
const savepoint = { upgradeMode: 'savepoint' }
const ofJob = { jobReference: { name: '$job' } }

export const snapshotScenarios: readonly Scenario[] = [
  {
    name: 'an annotation takes a savepoint',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { annotate: { 'millrace.dev/savepoint': 'now' } }],
    ends: { ...running(1), lastSavepoint: 'MANUAL', snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'a new savepointTriggerNonce takes a savepoint and restarts nothing',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { apply: { job: { ...savepoint, savepointTriggerNonce: 1 } } }],
    ends: { ...running(2), lastSavepoint: 'MANUAL', snapshots: ['COMPLETED'], edit: 'ignore' },
    starts: ['1 none'],
  },
  {
    name: 'a savepointTriggerNonce that a new job has takes none',
    steps: [
      { apply: { job: { ...savepoint, savepointTriggerNonce: 1 } } },
      { until: running(1) },
      { apply: { job: { ...savepoint, savepointTriggerNonce: 1, fallback: 'last-state' } } },
    ],
    ends: { ...running(2), snapshots: [] },
    starts: ['1 none'],
  },
  {
    name: 'a FlinkSnapshot takes a savepoint',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { snapshot: 'mine', spec: { ...ofJob, savepoint: {} } }],
    ends: { ...running(1), snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'a FlinkSnapshot takes a checkpoint',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { snapshot: 'mine', spec: { ...ofJob, checkpoint: {} } }],
    ends: { ...running(1), snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'a FlinkSnapshot that is deleted is gone',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { snapshot: 'mine', spec: { ...ofJob, savepoint: {} } },
      { until: { snapshots: ['COMPLETED'] } },
      { remove: { snapshot: 'mine' } },
    ],
    ends: { ...running(1), snapshots: [] },
    starts: ['1 none'],
  },
  {
    name: 'a FlinkSnapshot that cannot be taken fails after its tries',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { savepoints: 'fail' },
      { snapshot: 'mine', spec: { ...ofJob, savepoint: {}, backoffLimit: 0 } },
    ],
    ends: { ...running(1), snapshots: ['FAILED'] },
    starts: ['1 none'],
  },
  {
    name: 'a FlinkSnapshot of a job that is not there waits for it',
    steps: [{ snapshot: 'mine', spec: { ...ofJob, savepoint: {} } }, { until: { snapshots: ['TRIGGER_PENDING'] } }, { apply: { job: savepoint } }],
    ends: { ...running(1), snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'savepoints by the clock',
    steps: [
      { apply: { job: savepoint, spec: { snapshots: { interval: '3 s', retain: 1 } } } },
      { until: { lastSavepoint: 'PERIODIC' } },
      { apply: { job: savepoint } },
    ],
    ends: { ...running(2), lastSavepoint: 'PERIODIC' },
    starts: ['1 none'],
  },
  {
    name: 'a snapshot that an upgrade has taken outlives its job',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { ...running(2), snapshots: ['COMPLETED'] } },
      { remove: 'job' },
    ],
    ends: { gone: true, snapshots: ['COMPLETED'] },
    starts: ['1 none', '1 savepoint'],
  },
]
