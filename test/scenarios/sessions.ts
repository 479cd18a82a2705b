import { running } from './endings.ts'
import type { Scenario } from './scenario.ts'

/** What a FlinkJob comes to that names a FlinkSession which is not there. Those of sessions that are there: test/sim/session-calls.test.ts, test/e2e/up-sessions.test.ts. */
const onSession = { sessionName: 'shared' }

export const sessionScenarios: readonly Scenario[] = [
  {
    name: 'a job on a session that is not there starts nothing, and names it',
    steps: [{ apply: { spec: onSession } }],
    ends: { lifecycle: 'CREATED', conditions: ['Ready=False Progressing', 'Degraded=True SessionNotFound'], says: /FlinkSession shared/ },
    starts: [],
  },
  {
    name: 'deleted while its session is not there it is gone',
    steps: [{ apply: { spec: onSession } }, { until: { says: /FlinkSession shared/ } }, { remove: 'job' }],
    ends: { gone: true },
    starts: [],
  },
  {
    name: 'made suspended on a session that is not there it rests',
    steps: [{ apply: { job: { state: 'suspended' }, spec: onSession } }],
    ends: { lifecycle: 'SUSPENDED', generation: 1, conditions: ['Ready=True Suspended'] },
    starts: [],
  },
  {
    name: 'rule 18: a job with a cluster of its own does not move to a session',
    steps: [{ apply: {} }, { until: running(1) }, { apply: { spec: onSession } }],
    ends: running(1),
    starts: ['1 none'],
    refused: ['a job cannot move to or from a session'],
  },
  {
    name: 'rule 26: a job does not move to another session',
    steps: [{ apply: { spec: onSession } }, { until: { says: /FlinkSession shared/ } }, { apply: { spec: { sessionName: 'another' } } }],
    ends: { lifecycle: 'CREATED', conditions: ['Ready=False Progressing', 'Degraded=True SessionNotFound'], says: /FlinkSession shared/ },
    starts: [],
    refused: ['a job cannot move to or from a session'],
  },
  {
    name: 'what belongs to the session is refused of a job on it',
    steps: [{ apply: { spec: { ...onSession, image: 'example/other:1' } } }],
    ends: { gone: true },
    starts: [],
    refused: ['belongs to the FlinkSession that sessionName names'],
  },
]
