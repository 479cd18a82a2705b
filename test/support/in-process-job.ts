import { StreamExecutionEnvironment } from '../../runtime/api/index.ts'
import { assert } from '../../runtime/common/assert.ts'
import { type Clock, systemClock } from '../../runtime/common/clock.ts'
import { deserializeError, type SerializedError } from '../../runtime/common/errors.ts'
import { newId } from '../../runtime/common/ids.ts'
import type { JsonObject } from '../../runtime/common/json.ts'
import { noLog } from '../../runtime/common/log.ts'
import { seededRandom } from '../../runtime/common/random.ts'
import { connectorRegistry, enumeratorRegistry } from '../../runtime/connectors/registry.ts'
import '../../bin/api.ts'
import { buildSlotDeployments } from '../../runtime/graph/deployment-builder.ts'
import { createExecutionGraph } from '../../runtime/graph/execution-graph.ts'
import { buildJobGraph } from '../../runtime/graph/job-graph-builder.ts'
import { withProjections } from '../../runtime/graph/projection.ts'
import { planSlots } from '../../runtime/graph/slot-assignment.ts'
import { MetricGroup } from '../../runtime/metrics/metric-group.ts'
import { fieldsRead } from '../../runtime/planner/fields-read.ts'
import type { SourceDescription, SplitEnumerator } from '../../runtime/stream/spi/source.ts'
import { InProcessNetwork, InProcessSlotHosts } from '../../runtime/taskmanager/in-process-slot-hosts.ts'
import { LocalIoHost } from '../../runtime/taskmanager/io-host-local.ts'
import { IoRuntime } from '../../runtime/taskmanager/io-runtime.ts'
import type { SlotHost, TaskMetricsSnapshot, TaskState } from '../../runtime/taskmanager/slot-host.ts'

/**
 * Runs a program to its end in this thread: real graphs, slots, tasks, channels and connectors, no control plane. For tests of the
 * engine; the control plane has its own.
 */
export interface InProcessJobOptions {
  readonly parallelism?: number
  readonly batch?: boolean
  readonly chaining?: boolean
  readonly configuration?: Readonly<Record<string, string>>
  /** Pages of each ring and frames of each edge inside a slot. */
  readonly channelCapacity?: number
  readonly suspendEverywhere?: boolean
  readonly generated?: boolean
  /** False = all fields are sent, as if nothing could be proved of what functions read. */
  readonly projected?: boolean
  readonly seed?: number
  /** Network pages of the (one) TaskManager. */
  readonly pages?: number
  /** The program is run once for all: cheaper, where nothing that it makes is kept between rows. */
  readonly runProgramOnce?: boolean
  /** What the job takes for the time; the deadline is the system's. */
  readonly clock?: Clock
  /** Fails the run when the program has not ended after so many idle turns of the event loop: a deadlock. */
  readonly deadlineMs?: number
}

export interface InProcessResult {
  readonly state: 'FINISHED' | 'FAILED'
  readonly error: SerializedError | undefined
  readonly stdout: string
  readonly metrics: readonly TaskMetricsSnapshot[]
  readonly vertexNames: readonly string[]
  readonly slotCount: number
  /** Of the TaskManager's page pool when the job has ended. Rings of this host are not pooled: what is counted is what outputs spilled. */
  readonly pages: { readonly used: number; readonly peak: number; readonly total: number }
}

export async function runInProcess(
  program: (env: StreamExecutionEnvironment) => unknown,
  options: InProcessJobOptions = {},
): Promise<InProcessResult> {
  const random = seededRandom(options.seed ?? 1)
  const clock = options.clock ?? systemClock
  const client: Record<string, string> = { ...options.configuration }
  if (options.parallelism !== undefined) client['parallelism.default'] = String(options.parallelism)
  if (options.batch === true) client['execution.runtime-mode'] = 'BATCH'
  // Everything is deployed at once here: one stage.
  client['execution.batch-shuffle-mode'] = 'ALL_EXCHANGES_PIPELINED'
  if (options.chaining === false) client['pipeline.operator-chaining.enabled'] = 'false'
  const build = () => {
    const env = StreamExecutionEnvironment.createForProgram({ client })
    program(env)
    return env.getStreamGraph()
  }
  const planned = build()
  const built = buildJobGraph(planned, { client })
  const jobGraph = options.projected === false ? built : withProjections(built, planned, fieldsRead)
  const jobId = newId(random)
  const executionGraph = createExecutionGraph(jobId, jobGraph, { attempt: 0, nowMs: clock.nowMs(), newExecutionId: () => newId(random) })
  const slots = planSlots(jobGraph).map((planned, i) => ({
    planned,
    location: { allocationId: `a${i}`, taskManagerId: 'tm', host: 'localhost', dataPort: 0 },
  }))
  const deployments = buildSlotDeployments(executionGraph, slots, {
    generation: 1,
    artifact: { digest: '', entry: 'default' },
    args: [],
  })

  let stdout = ''
  const decoder = new TextDecoder()
  const io = new IoRuntime({
    registry: connectorRegistry,
    clock,
    log: noLog,
    taskManager: {
      id: 'tm',
      stdout: bytes => {
        stdout += decoder.decode(bytes, { stream: true })
      },
      stderr: () => {},
    },
  })
  const factory = new InProcessSlotHosts({
    clock,
    random,
    network: new InProcessNetwork(options.channelCapacity),
    post: callback => void setImmediate(callback),
    loadProgram: () => Promise.resolve(options.runProgramOnce === true ? planned : build()),
    createIoHost: wake => new LocalIoHost(io, wake),
    ...(options.pages === undefined ? {} : { pages: options.pages }),
    ...(options.channelCapacity === undefined ? {} : { channelCapacity: options.channelCapacity }),
    suspendEverywhere: options.suspendEverywhere ?? false,
    generated: options.generated ?? true,
  })

  const hostOf = new Map<string, SlotHost>()
  const states = new Map<string, TaskState>()
  const enumerators = new Map<string, SplitEnumerator>()
  let firstError: SerializedError | undefined
  const metrics: TaskMetricsSnapshot[] = []
  const executionOf = (vertexId: string, subtaskIndex: number) => {
    const execution = executionGraph.executions.find(candidate => candidate.vertexId === vertexId && candidate.subtaskIndex === subtaskIndex)
    assert(execution !== undefined, 'every subtask has an execution')
    return execution
  }
  const hosts: SlotHost[] = []
  let open = deployments.length
  await new Promise<void>((resolve, reject) => {
    const deadline = systemClock.schedule(
      options.deadlineMs ?? 15_000,
      () =>
        reject(
          new Error(`no end after ${options.deadlineMs ?? 15_000} ms: ${[...states].map(([id, state]) => `${id.slice(0, 4)} ${state}`).join(', ')}`),
        ),
      { ref: true },
    )
    const abort = (error: SerializedError | undefined) => {
      firstError ??= error
      for (const [i, host] of hosts.entries()) host.cancel(deployments[i]?.tasks.map(({ executionId }) => executionId) ?? [])
    }
    for (const [i, deployment] of deployments.entries()) {
      const host = factory.create(i, event => {
        if (event.kind === 'task-state') {
          states.set(event.executionId, event.state)
          if (event.state === 'FAILED') abort(event.error)
          if (event.state === 'RUNNING')
            for (const task of deployment.tasks)
              if (task.executionId === event.executionId && task.vertex.inputCount === 0)
                enumerators.get(task.vertex.id)?.addReader(task.subtaskIndex)
        } else if (event.kind === 'split-request') {
          for (const task of deployment.tasks)
            if (task.executionId === event.executionId) enumerators.get(task.vertex.id)?.handleSplitRequest(task.subtaskIndex)
        } else if (event.kind === 'exited') {
          metrics.push(...host.metrics())
          open--
          if (event.error !== undefined) abort(event.error)
          if (open === 0) {
            deadline.cancel()
            resolve()
          }
        }
      })
      hosts.push(host)
      for (const task of deployment.tasks) hostOf.set(task.executionId, host)
    }
    for (const vertex of jobGraph.vertices) {
      const head = vertex.operators[0]
      if (vertex.inputCount !== 0 || head?.source === undefined) continue
      const source = head.source as SourceDescription
      const create = enumeratorRegistry[source.enumerator]
      assert(create !== undefined, `enumerator ${source.enumerator} is registered`)
      const to = (subtaskIndex: number) => {
        const { executionId } = executionOf(vertex.id, subtaskIndex)
        return { executionId, host: hostOf.get(executionId) }
      }
      const enumerator = create(
        source.options as JsonObject,
        {
          parallelism: vertex.parallelism,
          clock,
          log: noLog,
          signal: new AbortController().signal,
          metrics: new MetricGroup(),
          assignSplits: (subtaskIndex, splits) => {
            const { executionId, host } = to(subtaskIndex)
            host?.addSplits(executionId, head.operatorId, splits)
          },
          signalNoMoreSplits: subtaskIndex => {
            const { executionId, host } = to(subtaskIndex)
            host?.noMoreSplits(executionId, head.operatorId)
          },
          fail: error => abort({ name: 'Error', code: 'EXTERNAL_SYSTEM', message: String(error), stack: String(error), cause: undefined }),
        },
        undefined,
      )
      enumerators.set(vertex.id, enumerator)
      void enumerator.start()
    }
    for (const [i, deployment] of deployments.entries())
      hosts[i]?.deploy(JSON.parse(JSON.stringify(deployment)) as typeof deployment, factory.wire(deployment), new Map())
  })
  for (const enumerator of enumerators.values()) await enumerator.close()
  await io.close()
  const failed = firstError !== undefined || [...states.values()].some(state => state !== 'FINISHED')
  return {
    state: failed ? 'FAILED' : 'FINISHED',
    error: firstError,
    stdout,
    metrics,
    vertexNames: jobGraph.vertices.map(vertex => vertex.name),
    slotCount: slots.length,
    pages: factory.pageCounts,
  }
}

/** Throws the job's failure; for tests of jobs that must finish. */
export async function finishInProcess(
  program: (env: StreamExecutionEnvironment) => unknown,
  options: InProcessJobOptions = {},
): Promise<InProcessResult> {
  const result = await runInProcess(program, options)
  if (result.error !== undefined) throw deserializeError(result.error)
  assert(result.state === 'FINISHED', 'a job without an error finishes')
  return result
}
