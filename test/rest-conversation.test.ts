import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { FlinkJobSpec } from '../operator/api/flink-job.ts'
import { FakeFlinkCluster } from './support/fake-flink-cluster.ts'
import { restOfPods } from './support/pods-of-cluster.ts'
import { converse, type RestSubject } from './support/rest-conversation.ts'

/** What tests of the operator take for a JobManager answers as a real one did: test/e2e/rest-conversation.test.ts holds that one to the same record. */
const recorded: unknown = JSON.parse(readFileSync(new URL('oracle/rest-conversation.json', import.meta.url), 'utf8'))

const spec: FlinkJobSpec = {
  job: { script: '', entryClass: 'default', args: [], parallelism: 1, state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
}

function fakeSubject(): RestSubject {
  const cluster = new FakeFlinkCluster()
  cluster.program = { kind: 'ready', jobName: 'fake', slotsNeeded: 1, slotsPerTaskManager: 1, parallelisms: { source: 1, sink: 1 } }
  cluster.jobManager = 'ready'
  cluster.taskManagers = 2
  cluster.looksUntilFinished = undefined
  cluster.progress.checkpoint(1_000)
  cluster.onSubmit = ({ job }) => {
    if (job.script !== 'failing') return
    cluster.looksUntilFinished = 1
    cluster.failure = 'Error: no price'
  }
  const rest = restOfPods(cluster, async jarId => ({ ...spec, job: { ...spec.job, script: jarId } }))
  const isBroken = (directory: string | undefined) => {
    cluster.savepointFailure = directory === 'broken' ? 'Exception: the store is away' : undefined
  }
  return {
    rest: {
      ...rest,
      triggerSavepoint: (jobId, request) => {
        isBroken(request['target-directory'])
        return rest.triggerSavepoint(jobId, request)
      },
      stopWithSavepoint: (jobId, request) => {
        isBroken(request.targetDirectory)
        return rest.stopWithSavepoint(jobId, request)
      },
    },
    runningJar: 'running',
    failingJar: 'failing',
    savepoints: 'savepoints',
    breakSavepoints: async () => 'broken',
  }
}

test('the fake cluster answers all that the operator asks as a recorded JobManager did', async () => {
  expect(await converse(fakeSubject())).toEqual(recorded)
})
