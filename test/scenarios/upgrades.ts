import { running, suspended, unharmed } from './endings.ts'
import { EMPTY_PATH } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** Edits of a job that runs. */
const savepoint = { upgradeMode: 'savepoint' }
const lastState = { upgradeMode: 'last-state' }
const modes = ['stateless', 'savepoint', 'last-state'] as const

/** The state is kept exactly when the new mode says so. */
const matrix: readonly Scenario[] = modes.flatMap(from =>
  modes.map(
    (to): Scenario => ({
      name: `upgraded from mode ${from} to mode ${to}`,
      steps: [
        { apply: { job: { upgradeMode: from } } },
        { until: { ...running(1), checkpointed: true } },
        { apply: { program: 'changed', job: { upgradeMode: to } } },
      ],
      ends: { ...running(2), edit: to === 'stateless' ? 'state-loss' : 'restart' },
      starts: ['1 none', to === 'stateless' ? '2 none' : to === 'savepoint' ? '1 savepoint' : '1 checkpoint'],
    }),
  ),
)

const restarts: readonly Scenario[] = [
  {
    name: 'two upgrades in a row: each goes on from the savepoint of the one before',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: running(2) },
      { apply: { program: 'changedAgain', job: savepoint } },
    ],
    ends: { ...running(3), snapshots: ['COMPLETED', 'COMPLETED'] },
    starts: ['1 none', '1 savepoint', '1 savepoint'],
  },
  {
    name: 'edited again while an upgrade is carried out: one after the other',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { upgrading: true } },
      { apply: { program: 'changedAgain', job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none', '1 savepoint', '1 savepoint'],
  },
  {
    name: 'an edit that does not hold in the middle of an upgrade: the upgrade is completed',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: { upgrading: true } },
      { apply: { program: 'changed', job: savepoint, spec: { flinkConfiguration: { 'no.such.option': '1' } } } },
    ],
    ends: {
      lifecycle: 'STABLE',
      state: 'RUNNING',
      generation: 3,
      conditions: ['Ready=False InvalidSpec'],
      says: /no\.such\.option/,
      upgrading: false,
    },
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'an option changed in the configuration restarts the job with its state',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: savepoint, spec: { flinkConfiguration: { 'execution.checkpointing.interval': '400 ms' } } } },
    ],
    ends: { ...running(2), edit: 'restart' },
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'a new restartNonce restarts the job with its state',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { apply: { job: savepoint, spec: { restartNonce: 1 } } }],
    ends: { ...running(2), edit: 'restart' },
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'a restartNonce that is taken out restarts nothing',
    steps: [{ apply: { job: savepoint, spec: { restartNonce: 1 } } }, { until: running(1) }, { apply: { job: savepoint } }],
    ends: { ...running(2), edit: 'ignore' },
    starts: ['1 none'],
  },
  {
    name: 'fields that count for the next time restart nothing',
    steps: [
      { apply: {} },
      { until: running(1) },
      { apply: { job: { upgradeMode: 'savepoint', fallback: 'last-state', allowNonRestoredState: true }, spec: { deletionPolicy: 'Savepoint' } } },
    ],
    ends: { ...running(2), edit: 'ignore' },
    starts: ['1 none'],
  },
  {
    name: 'another initialSavepointPath alone restarts nothing',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { apply: { job: { ...savepoint, initialSavepointPath: EMPTY_PATH } } }],
    ends: { ...running(2), edit: 'ignore' },
    starts: ['1 none'],
  },
]

const pathed: readonly Scenario[] = [
  {
    name: 'it starts from the savepoint that initialSavepointPath names',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { remember: 'savepoint' },
      { remove: 'job' },
      { until: { gone: true } },
      { apply: { job: { ...savepoint, initialSavepointPath: '$remembered' } } },
    ],
    ends: running(1),
    starts: ['1 none', '2 path'],
  },
  {
    name: 'made suspended with a savepoint and set to running it starts from there',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { remember: 'savepoint' },
      { remove: 'job' },
      { until: { gone: true } },
      { apply: { job: { ...savepoint, state: 'suspended', initialSavepointPath: '$remembered' } } },
      { until: suspended(1) },
      { apply: { job: { ...savepoint, initialSavepointPath: '$remembered' } } },
    ],
    ends: running(2),
    starts: ['1 none', '2 path'],
  },
  {
    name: 'a new savepointRedeployNonce starts the job anew from the path',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: running(2) },
      { remember: 'savepoint' },
      { apply: { program: 'changed', job: { ...savepoint, initialSavepointPath: '$remembered', savepointRedeployNonce: 1 } } },
    ],
    ends: { ...running(3), edit: 'state-loss' },
    starts: ['1 none', '1 savepoint', '2 path'],
  },
  {
    name: 'a savepointRedeployNonce that stays what it was starts nothing anew',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'changed', job: savepoint } },
      { until: running(2) },
      { remember: 'savepoint' },
      { apply: { program: 'changed', job: { ...savepoint, initialSavepointPath: '$remembered', savepointRedeployNonce: 1 } } },
      { until: running(3) },
      {
        apply: { program: 'changed', job: { ...savepoint, initialSavepointPath: '$remembered', savepointRedeployNonce: 1, fallback: 'last-state' } },
      },
    ],
    ends: { ...running(4), edit: 'ignore' },
    starts: ['1 none', '1 savepoint', '2 path'],
  },
]

const refusedEdits: readonly Scenario[] = [
  {
    name: 'a program that cannot be planned leaves the job alone',
    steps: [{ apply: { job: savepoint } }, { until: running(1) }, { apply: { program: 'broken', job: savepoint } }],
    ends: unharmed(2, /the edit is not carried out, the job goes on as it was: .*\d+:\d+/s),
    starts: ['1 none'],
  },
  {
    name: 'a program that cannot be planned, mended, is carried out with the state',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'broken', job: savepoint } },
      { until: unharmed(2, /the edit is not carried out/) },
      { apply: { program: 'changed', job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'an edit that is taken back leaves nothing behind',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { program: 'broken', job: savepoint } },
      { until: unharmed(2, /the edit is not carried out/) },
      { apply: { job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none'],
  },
  {
    name: 'a first program that cannot be planned starts nothing',
    steps: [{ apply: { program: 'broken' } }],
    ends: { lifecycle: 'FAILED', generation: 1, conditions: ['Ready=False Failed', 'Degraded=True Failed'], says: /\d+:\d+/ },
    starts: [],
  },
  {
    name: 'a first program that cannot be planned, mended, is started',
    steps: [{ apply: { program: 'broken' } }, { until: { lifecycle: 'FAILED' } }, { apply: {} }],
    ends: running(2),
    starts: ['1 none'],
  },
  {
    name: 'state of another type is refused before the job is touched',
    steps: [{ apply: { job: savepoint } }, { until: { ...running(1), checkpointed: true } }, { apply: { program: 'retyped', job: savepoint } }],
    ends: { ...unharmed(2, /state 'count' of operator/), refused: 2 },
    starts: ['1 none'],
  },
  {
    name: "state of another type in mode stateless is nobody's matter",
    steps: [{ apply: {} }, { until: { ...running(1), checkpointed: true } }, { apply: { program: 'retyped' } }],
    ends: running(2),
    starts: ['1 none', '2 none'],
  },
  {
    name: 'refused for its state, then mended, it is carried out',
    steps: [
      { apply: { job: savepoint } },
      { until: { ...running(1), checkpointed: true } },
      { apply: { program: 'retyped', job: savepoint } },
      { until: { refused: 2 } },
      { apply: { program: 'changed', job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'state without a place in the new program is refused',
    steps: [{ apply: { job: savepoint } }, { until: { ...running(1), checkpointed: true } }, { apply: { program: 'renamed', job: savepoint } }],
    ends: { ...unharmed(2, /has no place in the new program.*approve-plan/), refused: 2 },
    starts: ['1 none'],
  },
  {
    name: 'its generation approved, state without a place is dropped',
    steps: [
      { apply: { job: savepoint } },
      { until: { ...running(1), checkpointed: true } },
      { apply: { program: 'renamed', job: savepoint } },
      { until: { refused: 2 } },
      { annotate: { 'millrace.dev/approve-plan': '2' } },
    ],
    ends: running(2),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'another generation approved nothing is dropped',
    steps: [
      { apply: { job: savepoint } },
      { until: { ...running(1), checkpointed: true } },
      { annotate: { 'millrace.dev/approve-plan': '1' } },
      { apply: { program: 'renamed', job: savepoint } },
    ],
    ends: { ...unharmed(2, /has no place in the new program/), refused: 2 },
    starts: ['1 none'],
  },
  {
    name: 'a savepoint path where nothing lies leaves the job alone',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, initialSavepointPath: EMPTY_PATH, savepointRedeployNonce: 1 } } },
    ],
    ends: unharmed(2, /file:\/\/\/nowhere\/savepoint-1 is nothing that a job can begin with/),
    starts: ['1 none'],
  },
]

const failures: readonly Scenario[] = [
  {
    name: 'a savepoint that fails leaves the job running; when it can be taken the edit is carried out',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { savepoints: 'fail' },
      { apply: { program: 'changed', job: savepoint } },
      { until: { state: 'RUNNING', says: /the savepoint for the upgrade could not be taken: .*tried again in 10 s/s } },
      { savepoints: 'work' },
    ],
    ends: running(2),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'a savepoint that fails with a fall-back to last-state: from the newest checkpoint',
    steps: [
      { apply: { job: { ...savepoint, fallback: 'last-state' } } },
      { until: { ...running(1), checkpointed: true } },
      { savepoints: 'fail' },
      { apply: { program: 'changed', job: { ...savepoint, fallback: 'last-state' } } },
    ],
    ends: running(2),
    starts: ['1 none', '1 checkpoint'],
  },
  {
    name: 'a savepoint that fails with a fall-back to stateless: empty',
    steps: [
      { apply: { job: { ...savepoint, fallback: 'stateless' } } },
      { until: { ...running(1), checkpointed: true } },
      { savepoints: 'fail' },
      { apply: { program: 'changed', job: { ...savepoint, fallback: 'stateless' } } },
    ],
    ends: running(2),
    starts: ['1 none', '2 none'],
  },
  {
    name: 'a job that has failed runs again with the program that mends it',
    steps: [
      { apply: { program: 'failing', spec: { restartStrategy: { type: 'none' } } } },
      { until: { state: 'FAILED' } },
      { apply: { program: 'finite' } },
    ],
    ends: { lifecycle: 'STABLE', state: 'FINISHED', generation: 2 },
    starts: ['1 none', '2 none'],
  },
]

const sizes: readonly Scenario[] = [
  {
    name: 'a larger parallelism is carried out in place',
    steps: [{ apply: { job: { ...savepoint, parallelism: 1 } } }, { until: running(1) }, { apply: { job: { ...savepoint, parallelism: 2 } } }],
    ends: { ...running(2), parallelism: 2, edit: 'rescale' },
    starts: ['1 none'],
  },
  {
    name: 'a smaller parallelism is carried out in place',
    steps: [{ apply: { job: { ...savepoint, parallelism: 2 } } }, { until: running(1) }, { apply: { job: { ...savepoint, parallelism: 1 } } }],
    ends: { ...running(2), parallelism: 1, edit: 'rescale' },
    starts: ['1 none'],
  },
  {
    name: 'more TaskManagers than the job needs are started beside it',
    steps: [
      { apply: { job: savepoint, spec: { taskManager: { replicas: 1 } } } },
      { until: running(1) },
      { apply: { job: savepoint, spec: { taskManager: { replicas: 2 } } } },
    ],
    ends: { ...running(2), edit: 'live' },
    starts: ['1 none'],
  },
  {
    name: 'another parallelism together with another program restarts the job',
    steps: [
      { apply: { job: { ...savepoint, parallelism: 1 } } },
      { until: running(1) },
      { apply: { program: 'changed', job: { ...savepoint, parallelism: 2 } } },
    ],
    ends: { ...running(2), parallelism: 2, edit: 'restart' },
    starts: ['1 none', '1 savepoint'],
  },
]

const rolledBack: readonly Scenario[] = [
  {
    name: 'a changed program that fails is rolled back to the last stable one',
    steps: [
      { apply: { job: lastState, spec: { rollback: {}, restartStrategy: { type: 'none' } } } },
      { until: { ...running(1), checkpointed: true } },
      {
        apply: { program: 'failing', job: { ...lastState, allowNonRestoredState: true }, spec: { rollback: {}, restartStrategy: { type: 'none' } } },
      },
    ],
    ends: { lifecycle: 'ROLLED_BACK', state: 'RUNNING', generation: 2, refused: 2, says: /no price/, conditions: ['Ready=False RolledBack'] },
    starts: ['1 none', '1 checkpoint', '1 checkpoint'],
  },
  {
    name: 'rolled back, the next edit is carried out',
    steps: [
      { apply: { job: lastState, spec: { rollback: {}, restartStrategy: { type: 'none' } } } },
      { until: { ...running(1), checkpointed: true } },
      {
        apply: { program: 'failing', job: { ...lastState, allowNonRestoredState: true }, spec: { rollback: {}, restartStrategy: { type: 'none' } } },
      },
      { until: { lifecycle: 'ROLLED_BACK', checkpointed: true } },
      { apply: { program: 'changed', job: lastState, spec: { rollback: {}, restartStrategy: { type: 'none' } } } },
    ],
    ends: running(3),
    starts: ['1 none', '1 checkpoint', '1 checkpoint', '1 checkpoint'],
  },
  {
    name: 'a stateless job that is rolled back begins empty',
    steps: [
      { apply: { spec: { rollback: {}, restartStrategy: { type: 'none' } } } },
      { until: { ...running(1), checkpointed: true } },
      { apply: { program: 'failing', spec: { rollback: {}, restartStrategy: { type: 'none' } } } },
    ],
    ends: { lifecycle: 'ROLLED_BACK', state: 'RUNNING', generation: 2, refused: 2 },
    starts: ['1 none', '2 none', '3 none'],
  },
]

export const upgradeScenarios: readonly Scenario[] = [...matrix, ...restarts, ...pathed, ...refusedEdits, ...failures, ...sizes, ...rolledBack]
