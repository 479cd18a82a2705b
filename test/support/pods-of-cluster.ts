import type { FlinkJobSpec } from '../../operator/api/flink-job.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { RestClient } from '../../runtime/rest/types.ts'
import type { FakeFlinkCluster } from './fake-flink-cluster.ts'
import type { StubKubelet, StubPod } from './stub-kubelet.ts'

/** A FakeFlinkCluster as what runs in the pods of a StubKubelet: its processes are there while their pods run, and REST is answered while a JobManager is up. */
type Fate = ReturnType<ConstructorParameters<typeof StubKubelet>[0]['fate']>

export const ready = {
  kind: 'ready',
  jobName: 'fake',
  slotsNeeded: 3,
  slotsPerTaskManager: 2,
  parallelisms: { source: 3, sink: 3 },
  checkpointDirectory: 's3://state',
  configuration: {},
}

const statePlan = { kind: 'ready', ignoresUnclaimedState: false, states: [] }

/** What a planner says: by what the arguments of its container contain. */
export function plannerFate({ object }: StubPod, answers: ReadonlyMap<string, object> = new Map(), usual: object = ready): Fate {
  const { containers } = object.spec as { readonly containers: readonly { readonly args: readonly string[] }[] }
  const text = containers[0]?.args.join(' ') ?? ''
  const answer = [...answers].find(([part]) => text.includes(part))?.[1] ?? (text.includes('--stateOf') ? { ...usual, statePlan } : usual)
  return { kind: 'ends', exitCode: 'message' in answer ? 1 : 0, message: JSON.stringify(answer) }
}

export async function followPods(cluster: FakeFlinkCluster, running: readonly StubPod[]): Promise<void> {
  const count = (component: string) => running.filter(pod => pod.component === component).length
  if (count('jobmanager') > 1) cluster.violations.push('a second JobManager')
  const [jobManagers, taskManagers] = [count('jobmanager'), count('taskmanager')]
  if (jobManagers === 1 && cluster.jobManager === 'missing') {
    cluster.claims.begin()
    cluster.jobManager = 'ready'
  }
  if (jobManagers === 0 && cluster.jobManager !== 'missing') await cluster.execute({ kind: 'stopJobManager' })
  if (taskManagers === 0 && cluster.taskManagers > 0) await cluster.execute({ kind: 'stopTaskManagers' })
  else cluster.taskManagers = taskManagers
}

/** `spec`: of what is submitted, by its jar. */
export function restOfPods(cluster: FakeFlinkCluster, spec: (jarId: string) => Promise<FlinkJobSpec> = async () => submitted): RestClient {
  const up = () => {
    if (cluster.jobManager !== 'ready') throw new FlinkError('CONNECTION_REFUSED', 'nobody listens')
  }
  const asked = Object.fromEntries(
    Object.entries(cluster.rest()).map(([method, call]) => [
      method,
      async (...args: unknown[]) => {
        up()
        // Every method of a client is one.
        return (call as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  )
  return {
    ...asked,
    runJar: async (jarId: string, { jobId = '', savepointPath }: { jobId?: string; savepointPath?: string }) => {
      up()
      const from = savepointPath === undefined ? {} : { initialSavepointPath: savepointPath }
      await cluster.execute({ kind: 'submitJob', spec: await spec(jarId), jobId, ...from })
      return jobId
    },
    cancelJob: async (jobId: string) => {
      up()
      await cluster.execute({ kind: 'cancelJob', jobId })
    },
    stopWithSavepoint: async (jobId: string, { triggerId }: { triggerId: string }) => {
      up()
      await cluster.execute({ kind: 'stopJob', jobId, triggerId })
      return triggerId
    },
    // What the executor and the controller ask for.
  } as unknown as RestClient
}

const submitted: FlinkJobSpec = {
  job: { entryClass: 'default', args: [], state: 'running', upgradeMode: 'savepoint', fallback: 'none' },
  flinkConfiguration: {},
  taskManager: {},
}
