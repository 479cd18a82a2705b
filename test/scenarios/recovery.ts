import { running } from './endings.ts'
import type { Scenario } from './scenario.ts'

/** Processes that are lost, jobs that fail, an operator that goes away. */
const savepoint = { upgradeMode: 'savepoint' }
const lastState = { upgradeMode: 'last-state' }

/** A matter of real time. */
const EITHER = { starts: 'whether the program of before is started once more depends on what is seen first, the loss or the edit' }

export const recoveryScenarios: readonly Scenario[] = [
  {
    name: 'its JobManager lost, a job goes on from its newest checkpoint',
    steps: [
      { apply: { job: lastState } },
      { until: { ...running(1), checkpointed: true } },
      { kill: 'jobmanager' },
      { until: { lifecycle: 'UPGRADING' } },
    ],
    ends: running(1),
    starts: ['1 none', '1 checkpoint'],
  },
  {
    name: 'its JobManager lost, a stateless job goes on from its newest checkpoint as well',
    steps: [{ apply: {} }, { until: { ...running(1), checkpointed: true } }, { kill: 'jobmanager' }, { until: { lifecycle: 'UPGRADING' } }],
    ends: running(1),
    starts: ['1 none', '1 checkpoint'],
  },
  {
    name: 'its JobManager lost after an upgrade, the new program goes on',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { ...running(2), checkpointed: true } },
      { kill: 'jobmanager' },
      { until: { lifecycle: 'UPGRADING' } },
    ],
    ends: running(2),
    starts: ['1 none', '1 savepoint', '1 checkpoint'],
  },
  {
    name: 'its JobManager lost and edited at once, the edit is carried out with the state',
    steps: [
      { apply: { job: lastState } },
      { until: { ...running(1), checkpointed: true } },
      { kill: 'jobmanager' },
      { apply: { program: 'changed', job: lastState } },
    ],
    ends: running(2),
    starts: ['1 none', '1 checkpoint'],
    differs: { local: EITHER, kubernetes: EITHER },
  },
  {
    name: 'its JobManager lost and deleted at once, it is gone',
    steps: [{ apply: { job: lastState } }, { until: running(1) }, { kill: 'jobmanager' }, { remove: 'job' }],
    ends: { gone: true },
    starts: ['1 none'],
  },
  {
    name: 'its TaskManager lost, the job goes on by itself on another one',
    steps: [
      { apply: { job: savepoint } },
      { until: { ...running(1), checkpointed: true } },
      { kill: 'taskmanager' },
      { until: { state: 'RESTARTING' } },
    ],
    ends: running(1),
    starts: ['1 none'],
  },
  {
    name: 'a job that fails is FAILED, and its processes end',
    steps: [{ apply: { program: 'failing', spec: { restartStrategy: { type: 'none' } } } }],
    ends: {
      lifecycle: 'FAILED',
      state: 'FAILED',
      generation: 1,
      says: /no price/,
      conditions: ['Ready=False Failed', 'Running=False Failed', 'Progressing=False AtRest', 'Degraded=True Failed'],
    },
    starts: ['1 none'],
  },
  {
    name: 'another operator leaves alone what runs',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { kill: 'operator' }, { annotate: { 'millrace.dev/savepoint': 'now' } }],
    ends: { ...running(1), snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
  {
    name: 'an operator that dies in an upgrade: the next one goes on with it',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { upgrading: true } },
      { kill: 'operator' },
    ],
    ends: { ...running(2), snapshots: ['COMPLETED'] },
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'edited while no operator is there, the edit is carried out by the next one',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { kill: 'operator' }, { apply: { program: 'changed', job: savepoint } }],
    ends: running(2),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'an operator that dies while it deploys: one job runs',
    steps: [{ apply: { job: savepoint } }, { until: { lifecycle: 'UPGRADING' } }, { kill: 'operator' }],
    ends: running(1),
    starts: ['1 none'],
  },
  {
    name: 'an operator that dies while the job is deleted: it is gone',
    steps: [{ apply: { job: savepoint, spec: { deletionPolicy: 'Savepoint' } } }, { until: running(1) }, { remove: 'job' }, { kill: 'operator' }],
    ends: { gone: true, snapshots: ['COMPLETED'] },
    starts: ['1 none'],
  },
]
