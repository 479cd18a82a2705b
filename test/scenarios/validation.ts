import { running } from './endings.ts'
import type { Manifest, Scenario } from './scenario.ts'

/** The validation rules of Flink's operator (reference/operator.md 1.5) that can be broken by a manifest: nothing is started, and the field is named. */
const savepoint = { upgradeMode: 'savepoint' }

/** By the API server: there is no object. */
const atTheDoor: Readonly<Record<string, { readonly names: string; readonly manifest: Manifest }>> = {
  'rules 2 to 4: flinkVersion': { names: 'flinkVersion', manifest: { spec: { flinkVersion: 'v2_0' } } },
  'rule 8: an ingress without a template': { names: 'spec.ingress.template', manifest: { spec: { ingress: {} } } },
  'rule 9: logConfiguration': { names: 'logConfiguration', manifest: { spec: { logConfiguration: { 'log4j.properties': '' } } } },
  'rule 12: a parallelism of 0': { names: 'spec.job.parallelism', manifest: { job: { parallelism: 0 } } },
  'rule 15: a request over its limit': {
    names: 'requests',
    manifest: { spec: { taskManager: { resources: { requests: { cpu: 2 }, limits: { cpu: 1 } } } } },
  },
  'rule 17: no TaskManagers': { names: 'spec.taskManager.replicas', manifest: { spec: { taskManager: { replicas: 0 } } } },
  'rule 19: mode': { names: 'mode', manifest: { spec: { mode: 'native' } } },
  'rule 20: savepointRedeployNonce without a path': { names: 'savepointRedeployNonce', manifest: { job: { savepointRedeployNonce: 1 } } },
  'rule 24: the name of a session': { names: 'spec.sessionName', manifest: { spec: { sessionName: 'Not A Name' } } },
  'rule 25: no job': { names: 'spec.job', manifest: { spec: { job: undefined } } },
  'rule 27: a jar': { names: 'jarURI', manifest: { spec: { job: { jarURI: 'https://10.0.0.1/job.jar' } } } },
  'a fall-back that mode stateless has no use for': { names: 'spec.job.fallback', manifest: { job: { fallback: 'stateless' } } },
  'two programs': { names: 'expected exactly one program', manifest: { job: { sql: 'SELECT 1' } } },
}

/** By the operator, which knows the options. */
const byTheOperator: Readonly<Record<string, { readonly says: RegExp; readonly option: string }>> = {
  "rule 5: an option that would be the cluster's": { says: /kubernetes\.cluster-id.*not supported/, option: 'kubernetes.cluster-id' },
  'rules 22 and 23: the autoscaler': { says: /job\.autoscaler\.enabled.*unknown option/, option: 'job.autoscaler.enabled' },
  'an option that is none': { says: /no\.such\.option.*unknown option/, option: 'no.such.option' },
}

export const validationScenarios: readonly Scenario[] = [
  ...Object.entries(atTheDoor).map(
    ([name, { names, manifest }]): Scenario => ({
      name: `${name} is refused`,
      steps: [{ apply: manifest }],
      ends: { gone: true },
      starts: [],
      refused: [names],
    }),
  ),
  ...Object.entries(atTheDoor)
    .slice(0, 4)
    .map(
      ([name, { names, manifest }]): Scenario => ({
        name: `${name} is refused as an edit, and the job runs on`,
        steps: [{ apply: { job: savepoint } }, { until: running(1) }, { apply: { ...manifest, job: { ...savepoint, ...manifest.job } } }],
        ends: running(1),
        starts: ['1 none'],
        refused: [names],
      }),
    ),
  ...Object.entries(byTheOperator).map(
    ([name, { says, option }]): Scenario => ({
      name: `${name} is refused`,
      steps: [{ apply: { spec: { flinkConfiguration: { [option]: '1' } } } }],
      ends: { lifecycle: 'FAILED', generation: 1, conditions: ['Ready=False InvalidSpec'], says },
      starts: [],
    }),
  ),
  {
    name: 'refused by the operator, then mended, it is started',
    steps: [
      { apply: { spec: { flinkConfiguration: { 'no.such.option': '1' } } } },
      { until: { lifecycle: 'FAILED', conditions: ['Ready=False InvalidSpec'] } },
      { apply: {} },
    ],
    ends: running(2),
    starts: ['1 none'],
  },
  {
    name: 'an edit that the operator refuses leaves the job alone',
    steps: [
      { apply: { job: savepoint } },
      { until: running(1) },
      { apply: { job: savepoint, spec: { flinkConfiguration: { 'no.such.option': '1' } } } },
    ],
    ends: { lifecycle: 'STABLE', state: 'RUNNING', generation: 2, conditions: ['Ready=False InvalidSpec'], says: /no\.such\.option/ },
    starts: ['1 none'],
  },
  {
    name: 'rule 29: a snapshot that is both is refused',
    steps: [{ snapshot: 'both', spec: { jobReference: { name: 'job' }, savepoint: {}, checkpoint: {} } }],
    ends: { gone: true, snapshots: [] },
    starts: [],
    refused: ['expected exactly one of savepoint and checkpoint'],
  },
  {
    name: 'rule 31: a snapshot without a job is refused',
    steps: [{ snapshot: 'nobody', spec: { savepoint: {} } }],
    ends: { gone: true, snapshots: [] },
    starts: [],
    refused: ['spec.jobReference'],
  },
]
