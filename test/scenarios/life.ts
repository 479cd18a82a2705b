import { conditionsAtRest, running, suspended } from './endings.ts'
import type { Scenario } from './scenario.ts'

/** Deployed, finished, suspended, resumed. */
const savepoint = { upgradeMode: 'savepoint' }
const lastState = { upgradeMode: 'last-state' }

export const lifeScenarios: readonly Scenario[] = [
  { name: 'a SQL script is deployed', steps: [{ apply: { program: 'sql' } }], ends: running(1), starts: ['1 none'] },
  { name: 'a TypeScript program is deployed', steps: [{ apply: {} }], ends: running(1), starts: ['1 none'] },
  {
    name: 'a bounded job finishes and stays so',
    steps: [{ apply: { program: 'finite' } }],
    ends: { lifecycle: 'STABLE', state: 'FINISHED', generation: 1, conditions: ['Ready=True Running', 'Running=False Finished'] },
    starts: ['1 none'],
  },
  {
    name: 'a finished job stays finished after an edit that touches nothing',
    steps: [{ apply: { program: 'finite' } }, { until: { state: 'FINISHED' } }, { apply: { program: 'finite', spec: { deletionPolicy: 'Delete' } } }],
    ends: { lifecycle: 'STABLE', state: 'FINISHED', generation: 2, edit: 'ignore' },
    starts: ['1 none'],
  },
  {
    name: 'a finished job runs again for an edit of its parallelism',
    steps: [{ apply: { program: 'finite' } }, { until: { state: 'FINISHED' } }, { apply: { program: 'finite', job: { parallelism: 2 } } }],
    ends: { lifecycle: 'STABLE', state: 'FINISHED', generation: 2, edit: 'state-loss' },
    starts: ['1 none', '2 none'],
  },
  {
    name: 'a finished job runs again for another program',
    steps: [{ apply: { program: 'finite' } }, { until: { state: 'FINISHED' } }, { apply: { program: 'finiteChanged' } }],
    ends: { lifecycle: 'STABLE', state: 'FINISHED', generation: 2 },
    starts: ['1 none', '2 none'],
  },
  {
    name: 'made suspended nothing is started, and it is observed',
    steps: [{ apply: { job: { state: 'suspended' } } }],
    ends: suspended(1),
    starts: [],
  },
  {
    name: 'made suspended and then set to running it starts empty',
    steps: [{ apply: { job: { ...savepoint, state: 'suspended' } } }, { until: suspended(1) }, { apply: { job: savepoint } }],
    ends: running(2),
    starts: ['1 none'],
  },
  {
    name: 'suspended in mode savepoint and resumed it goes on from that savepoint',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { apply: { job: savepoint } },
    ],
    ends: { ...running(3), lastSavepoint: 'UPGRADE', snapshots: ['COMPLETED'] },
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'suspended in mode last-state and resumed it goes on from its checkpoint',
    steps: [
      { apply: { job: lastState } },
      { until: { ...running(1), checkpointed: true } },
      { apply: { job: { ...lastState, state: 'suspended' } } },
      { until: suspended(2) },
      { apply: { job: lastState } },
    ],
    ends: running(3),
    starts: ['1 none', '1 checkpoint'],
  },
  {
    name: 'suspended in mode stateless and resumed it begins empty',
    steps: [
      { apply: {} },
      { until: { ...running(1), checkpointed: true } },
      { apply: { job: { state: 'suspended' } } },
      { until: suspended(2) },
      { apply: {} },
    ],
    ends: running(3),
    starts: ['1 none', '2 none'],
  },
  {
    name: 'resumed in mode stateless it begins empty, however it was suspended',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { apply: {} },
    ],
    ends: running(3),
    starts: ['1 none', '2 none'],
  },
  {
    name: 'resumed with another program it goes on with its state',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { apply: { program: 'changed', job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'resumed with a program that its state does not fit it stays suspended, and says why',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: suspended(2) },
      { apply: { program: 'retyped', job: savepoint } },
    ],
    ends: { lifecycle: 'SUSPENDED', generation: 3, refused: 3, says: /state 'count' of operator/, conditions: ['Planning=False Incompatible'] },
    starts: ['1 none'],
  },
  {
    name: 'set to running while it is being suspended it runs in the end',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: { ...savepoint, state: 'suspended' } } },
      { until: { upgrading: true } },
      { apply: { job: savepoint } },
    ],
    ends: running(3),
    starts: ['1 none', '1 savepoint'],
  },
  {
    name: 'labels and annotations of the object restart nothing',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: savepoint, labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } } },
    ],
    ends: running(1),
    starts: ['1 none'],
  },
  {
    name: 'paused nothing is done about an edit',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { annotate: { 'millrace.dev/paused': 'true' } },
      { until: { conditions: ['Paused=True Annotated'] } },
      { apply: { program: 'changed', job: savepoint } },
    ],
    ends: { lifecycle: 'STABLE', state: 'RUNNING', generation: 1, conditions: ['Paused=True Annotated'] },
    starts: ['1 none'],
  },
  {
    name: 'after a pause the edit is carried out',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { annotate: { 'millrace.dev/paused': 'true' } },
      { until: { conditions: ['Paused=True Annotated'] } },
      { apply: { program: 'changed', job: savepoint } },
      { annotate: { 'millrace.dev/paused': null } },
    ],
    ends: { ...running(2), conditions: conditionsAtRest },
    starts: ['1 none', '1 savepoint'],
  },
]
