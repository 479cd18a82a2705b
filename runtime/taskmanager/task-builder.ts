import { checkpointMode, isCheckpointingEnabled } from '../checkpoint/options.ts'
import { takesIncrements } from '../checkpoint/state-storage.ts'
import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { globalJobParameters, parseJobParameters } from '../common/job-parameters.ts'
import type { Logger } from '../common/log.ts'
import type { Random } from '../common/random.ts'
import type { InputDeployment, OutputDeployment, SlotDeployment, TaskDeployment } from '../graph/deployment.ts'
import { compareOperators } from '../graph/graph-hash.ts'
import type { JobEdge, OperatorSpec } from '../graph/job-graph.ts'
import type { StreamGraph, StreamNode } from '../graph/stream-graph.ts'
import { OperatorMetricGroup } from '../metrics/operator-metric-group.ts'
import { projectedKinds } from '../network/columns-absent.ts'
import type { ChannelReader } from '../network/frame.ts'
import { ChannelInputGate } from '../network/input-gate.ts'
import type { PageReserver } from '../network/page-pool.ts'
import { createSelector, type SelectorOptions } from '../network/partitioner.ts'
import { RecordWriter } from '../network/record-writer.ts'
import { RingReader } from '../network/ring-channel.ts'
import { rowLayout } from '../serde/row-layout.ts'
import type { TypeSerializer } from '../serde/type-information.ts'
import { typeFromJson } from '../serde/types.ts'
import { defaultSnapshotLimits, type SnapshotLimits } from '../state/keyed-snapshots.ts'
import type { OwnStateBackend } from '../state/own-backend.ts'
import { OperatorChain } from '../stream/chain.ts'
import { type ChainLink, newLinkCounters } from '../stream/chain-link.ts'
import { createOperator } from '../stream/factory.ts'
import type { OperatorContext, StreamOperator } from '../stream/operator.ts'
import type { SourceHeadOperator } from '../stream/operators/source-operator.ts'
import { userError } from '../stream/operators/user-code.ts'
import type { IoHost } from '../stream/spi/io-host.ts'
import type { ChannelProvider } from './channel-providers.ts'
import type { SlotScheduler } from './slot.ts'
import type { RestoredTask, RestoredTasks, TaskMetricsSnapshot } from './slot-host.ts'
import { Task, type TaskHooks } from './task.ts'
import { autoWatermarkInterval, bufferTimeout } from './task-options.ts'

/** Makes the tasks of a slot out of its deployment and the program's own graph: operators, chains, gates, writers. */
export interface BuildParts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly channels: ChannelProvider
  readonly pages: PageReserver
  ioHost(wake: () => void): IoHost
  readonly scheduler: SlotScheduler
  readonly suspendEverywhere: boolean
  /** False = users' functions are interpreted; default true. */
  readonly generated?: boolean
  /** Tests of small states only. */
  readonly snapshotLimits?: SnapshotLimits | undefined
  readonly hotKeysMax?: number | undefined
  /** Undefined = the heap. */
  readonly stateBackend?: OwnStateBackend | undefined
  readonly hooks: TaskHooks
  splitRequest(executionId: string, operatorId: string): void
}

export interface BuiltTask {
  readonly task: Task
  readonly source: SourceHeadOperator | undefined
  readonly sourceOperatorId: string | undefined
  /** In the order of a snapshot. */
  readonly operatorIds: readonly string[]
  metrics(): TaskMetricsSnapshot
}

/** `chains` gets each chain as it is made: what throws may have made some, whose operators have stores, memory and ports already. */
export function buildTasks(
  deployment: SlotDeployment,
  graph: StreamGraph,
  restored: RestoredTasks,
  parts: BuildParts,
  chains: OperatorChain[],
): BuiltTask[] {
  const nodes = new Map(graph.nodes.map(node => [node.id, node]))
  checkGraph(deployment, graph)
  return deployment.tasks.map((task, depth) => buildTask(deployment, task, depth, nodes, restored.get(task.executionId), parts, chains))
}

/** The worker's own execution of the module must have given the planner's graph. */
function checkGraph(deployment: SlotDeployment, graph: StreamGraph): void {
  const difference = compareOperators(
    deployment.tasks.flatMap(task => task.vertex.operators),
    graph,
  )
  if (difference !== undefined) throw graphMismatch(deployment, difference.operator, difference.what)
}

function buildTask(
  deployment: SlotDeployment,
  spec: TaskDeployment,
  depth: number,
  nodes: ReadonlyMap<number, StreamNode>,
  restored: RestoredTask | undefined,
  parts: BuildParts,
  chains: OperatorChain[],
): BuiltTask {
  const { vertex, subtaskIndex } = spec
  const name = `${vertex.name} (${subtaskIndex + 1}/${vertex.parallelism})#${deployment.attempt}`
  let task: Task | undefined
  // Channels and ports may ring while the task is being built: there is nothing to wake yet, and a new task looks at everything once.
  const wake = () => {
    if (task !== undefined) parts.scheduler.wake(task)
  }
  const writers: RecordWriter[] = []
  const groups: OperatorMetricGroup[] = []
  const links: ChainLink[] = vertex.operators.map((operatorSpec, index) => {
    const node = nodes.get(operatorSpec.nodeId)
    assert(node !== undefined, 'checkGraph has found every node')
    groups.push(new OperatorMetricGroup())
    return {
      operator: createOperator(node.definition, operatorSpec.options),
      parent: operatorSpec.parent,
      parentTag: operatorSpec.parentTag,
      counters: newLinkCounters(),
      name: operatorSpec.name,
      inputLayouts: inputLayouts(spec, index),
      outputLayout: rowLayout(operatorSpec.outputType),
      outputFields: operatorSpec.outputFields,
      networkOutputs: spec.outputs
        .filter(({ edge }) => edge.source.operatorIndex === index)
        .map(output => {
          const writer = buildWriter(output, operatorSpec, nodes, parts, wake)
          writers.push(writer)
          return { tag: output.edge.source.tag, output: writer, wantsFrames: wantsFrames(output, nodes) }
        }),
    }
  })
  const chain = new OperatorChain(links, vertex.inputCount, {
    budgetSpent: () => task?.budgetSpent() ?? false,
    rowsPerClockRead: parts.suspendEverywhere ? 1 : 64,
    generated: parts.generated ?? true,
    jobName: deployment.jobName,
  })
  chains.push(chain)
  const configuration = Configuration.fromObject(deployment.configuration)
  const head = links[0]
  assert(head !== undefined, 'a vertex has operators')
  const source = vertex.inputCount === 0 ? (head.operator as SourceHeadOperator) : undefined
  const readers: ChannelReader[] = []
  const gate = source === undefined ? buildGate(spec.inputs, vertex.inputCount, configuration.get(checkpointMode), parts, wake, readers) : undefined
  const built = new Task({
    executionId: spec.executionId,
    name,
    depth,
    chain,
    gate,
    channelNames: channelNames(spec.inputs, vertex.inputCount, nodes),
    source,
    clock: parts.clock,
    hooks: parts.hooks,
    bufferTimeoutMs: configuration.get(bufferTimeout),
    suspendEverywhere: parts.suspendEverywhere,
    checkpointingEnabled: takesCheckpoints(deployment),
    restoredFinished: restored?.finished ?? false,
  })
  for (const [index, link] of links.entries()) {
    const operatorSpec = vertex.operators[index]
    const group = groups[index]
    assert(operatorSpec !== undefined && group !== undefined, 'links, specs and groups are parallel arrays')
    const operator: StreamOperator = link.operator
    operator.setup(operatorContext(deployment, spec, name, operatorSpec, group, chain, built, parts, wake), chain.outputOf(index))
  }
  restoreChain(chain, vertex.operators, restored)
  if (source !== undefined) source.onSplitRequest = () => parts.splitRequest(spec.executionId, vertex.operators[0]!.operatorId)
  task = built
  return {
    task: built,
    source,
    sourceOperatorId: source === undefined ? undefined : vertex.operators[0]!.operatorId,
    operatorIds: vertex.operators.map(({ operatorId }) => operatorId),
    metrics: () => taskMetrics(built, vertex.operators, links, groups, gate, readers, writers),
  }
}

/** A batch job takes none, whatever its options say, so its tasks wait for none. */
function takesCheckpoints({ runtimeMode, configuration }: SlotDeployment): boolean {
  return runtimeMode !== 'BATCH' && isCheckpointingEnabled(Configuration.fromObject(configuration))
}

function restoreChain(chain: OperatorChain, operators: readonly OperatorSpec[], restored: RestoredTask | undefined): void {
  if (restored === undefined) return
  const snapshots = new Map(restored.operators.map(({ operatorId, snapshot }) => [operatorId, snapshot]))
  chain.restore(operators.map(({ operatorId }) => snapshots.get(operatorId)))
}

/** Of the head by its edges, of the others by what their parent emits. Side outputs have no columnar form. */
function inputLayouts(spec: TaskDeployment, index: number): NonNullable<ChainLink['inputLayouts']> {
  const { operators, inputCount } = spec.vertex
  const operator = operators[index]
  const parent = operators[operator?.parent ?? -1]
  if (parent !== undefined) return [operator?.parentTag === undefined ? rowLayout(parent.outputType) : undefined]
  return Array.from({ length: inputCount }, (_, input) => {
    const edge = spec.inputs.find(deployed => deployed.edge.target.input === input)?.edge
    return edge === undefined ? undefined : rowLayout(edge.type)
  })
}

/** Whether the consumer of an edge works columns, and the edge can carry and partition them. */
function wantsFrames({ edge }: OutputDeployment, nodes: ReadonlyMap<number, StreamNode>): boolean {
  const consumer = nodes.get(edge.nodeInput.nodeId)
  const partitioner = consumer?.inputs[edge.nodeInput.index]?.partitioner
  if (consumer?.definition.columnar !== true || typeFromJson(edge.type).serializer.columnKinds === undefined) return false
  return edge.partitioner === 'HASH' ? partitioner?.key?.columns !== undefined : edge.partitioner !== 'CUSTOM'
}

function buildWriter(
  output: OutputDeployment,
  spec: OperatorSpec,
  nodes: ReadonlyMap<number, StreamNode>,
  parts: BuildParts,
  wake: () => void,
): RecordWriter {
  const serializer = typeFromJson(output.edge.type).serializer
  const layout = rowLayout(output.edge.type)
  const { fields } = output.edge
  const { nodeId, index } = output.edge.nodeInput
  const partitioner = nodes.get(nodeId)?.inputs[index]?.partitioner
  const key = partitioner?.key
  const partition = partitioner?.partition
  const select = key?.select as ((value: unknown) => unknown) | undefined
  const options: SelectorOptions = {
    kind: output.edge.partitioner,
    channelCount: output.channels.length,
    random: parts.random,
    maxParallelism: output.consumerMaxParallelism,
    ...(layout === undefined ? {} : { layout, isSql: output.edge.type.kind === 'COLUMNS' }),
    ...(key === undefined || select === undefined
      ? {}
      : {
          key: {
            type: key.type,
            select: guarded(select, spec.name, 'key selector'),
            ...(key.columns === undefined ? {} : { columns: key.columns }),
          },
        }),
    ...(partition === undefined ? {} : { partition: guardedPartition(partition, spec.name) }),
  }
  return new RecordWriter({
    operatorName: spec.name,
    channels: output.channels.map(channel => parts.channels.writer(channel, serializer, wake)),
    selector: createSelector(options),
    pages: parts.pages,
    ...(fields === undefined || layout === undefined ? {} : { fields: { read: fields, count: layout.columns.length } }),
  })
}

/** What a key selector throws is the user's failure and names the operator whose output it reads. */
function guarded(select: (value: unknown) => unknown, operatorName: string, what: string): (value: unknown) => unknown {
  return value => {
    try {
      return select(value)
    } catch (error) {
      throw userError(`${what} of ${operatorName}`, error)
    }
  }
}

function guardedPartition(
  partition: (key: unknown, channelCount: number) => number,
  operatorName: string,
): (key: unknown, channelCount: number) => number {
  return (key, channelCount) => {
    try {
      return partition(key, channelCount)
    } catch (error) {
      throw userError(`partition function of ${operatorName}`, error)
    }
  }
}

function buildGate(
  inputs: readonly InputDeployment[],
  inputCount: number,
  mode: 'EXACTLY_ONCE' | 'AT_LEAST_ONCE',
  parts: BuildParts,
  wake: () => void,
  readers: ChannelReader[],
): ChannelInputGate {
  const byInput: ChannelReader[][] = Array.from({ length: inputCount }, () => [])
  for (const { edge, channels } of inputs) {
    const serializer = readSerializer(edge)
    for (const channel of channels) {
      const reader = parts.channels.reader(channel, serializer, wake)
      readers.push(reader)
      byInput[edge.target.input]?.push(reader)
    }
  }
  return new ChannelInputGate({ inputs: byInput, mode: mode === 'EXACTLY_ONCE' ? 'exactly-once' : 'at-least-once' })
}

/** Rows are read whole, frames without the columns that their sender leaves out. */
function readSerializer({ type, fields }: JobEdge): TypeSerializer<unknown> {
  const { serializer } = typeFromJson(type)
  const { columnKinds } = serializer
  if (fields === undefined || columnKinds === undefined) return serializer
  return {
    write: (value, out) => serializer.write(value, out),
    read: input => serializer.read(input),
    columnKinds: projectedKinds(columnKinds, fields),
  }
}

/** `subtask 2 of words`, in the gate's order: by logical input, then by channel. */
function channelNames(inputs: readonly InputDeployment[], inputCount: number, nodes: ReadonlyMap<number, StreamNode>): string[][] {
  const names: string[][] = Array.from({ length: inputCount }, () => [])
  for (const { edge, channels } of inputs) {
    const producer = nodes.get(nodes.get(edge.nodeInput.nodeId)?.inputs[edge.nodeInput.index]?.source ?? -1)?.name ?? `vertex ${edge.source.vertexId}`
    for (const { peerSubtaskIndex } of channels) names[edge.target.input]?.push(`subtask ${peerSubtaskIndex + 1} of ${producer}`)
  }
  return names
}

function operatorContext(
  deployment: SlotDeployment,
  spec: TaskDeployment,
  taskName: string,
  operator: OperatorSpec,
  metrics: OperatorMetricGroup,
  chain: OperatorChain,
  task: Task,
  parts: BuildParts,
  wake: () => void,
): OperatorContext {
  const configuration = Configuration.fromObject(deployment.configuration)
  return {
    jobId: deployment.jobId,
    jobName: deployment.jobName,
    operatorId: operator.operatorId,
    operatorName: operator.name,
    taskNameWithSubtasks: taskName,
    subtaskIndex: spec.subtaskIndex,
    parallelism: spec.vertex.parallelism,
    maxParallelism: spec.vertex.maxParallelism,
    attempt: deployment.attempt,
    batch: deployment.runtimeMode === 'BATCH',
    clock: parts.clock,
    random: parts.random,
    log: parts.log.child({ jobId: deployment.jobId, task: taskName, operator: operator.name }),
    io: parts.ioHost(wake),
    jobParameters: parseJobParameters(Configuration.fromObject(deployment.configuration).get(globalJobParameters)),
    options: {
      autoWatermarkIntervalMs: configuration.get(autoWatermarkInterval),
      checkpointingEnabled: takesCheckpoints(deployment),
      snapshotLimits: takesIncrements(configuration) ? (parts.snapshotLimits ?? defaultSnapshotLimits) : undefined,
      hotKeysMax: parts.hotKeysMax,
      stateBackend: parts.stateBackend,
    },
    metrics,
    shouldYield: () => chain.contextShouldYield(),
    wake,
    block: () => {
      chain.blockers++
    },
    unblock: () => {
      chain.blockers--
      assert(chain.blockers >= 0, 'unblock pairs with block')
      wake()
    },
    fail: error => {
      task.failLater(error)
      wake()
    },
  }
}

function taskMetrics(
  task: Task,
  specs: readonly OperatorSpec[],
  links: readonly ChainLink[],
  groups: readonly OperatorMetricGroup[],
  gate: ChannelInputGate | undefined,
  readers: readonly ChannelReader[],
  writers: readonly RecordWriter[],
): TaskMetricsSnapshot {
  const operators: Record<string, Record<string, number>> = {}
  for (const [i, link] of links.entries()) {
    const { recordsIn, recordsOut, rowsColumnar, rowsGenerated, rowsConverted, rowsOutColumnar, stateBytes } = link.counters
    const values = groups[i]!.snapshot(recordsIn, recordsOut)
    // Which path rows took: in columns, in a generated loop (or both), or one by one through the interpreter. A source has none coming in: what
    // it emits counts.
    const isSource = link.parent === -1 && gate === undefined
    values['rowsColumnar'] = isSource ? rowsOutColumnar : rowsColumnar
    if (rowsGenerated > 0) values['rowsGenerated'] = rowsGenerated
    values['rowsInterpreted'] = isSource ? recordsOut - rowsOutColumnar : recordsIn - Math.max(rowsColumnar, rowsGenerated)
    values['rowsConverted'] = rowsConverted
    const stateEntries = link.operator.stateEntries?.()
    if (stateEntries !== undefined) {
      values['stateEntries'] = stateEntries
      values['stateBytes'] = stateBytes
    }
    const notSent = link.networkOutputs.reduce((total, { output }) => total + (output instanceof RecordWriter ? output.valuesNotSent : 0), 0)
    if (notSent > 0) values['valuesNotSent'] = notSent
    operators[specs[i]!.operatorId] = values
  }
  const sum = (read: (writer: RecordWriter) => number) => writers.reduce((total, writer) => total + read(writer), 0)
  return {
    executionId: task.executionId,
    task: {
      numRecordsIn: gate?.numRecordsIn ?? 0,
      numRecordsOut: sum(writer => writer.numRecordsOut),
      numBytesIn: readers.reduce((total, reader) => total + (reader instanceof RingReader ? reader.bytesRead : 0), 0),
      numBytesOut: sum(writer => writer.numBytesOut),
      numBuffersIn: gate?.numBuffersIn ?? 0,
      numBuffersOut: sum(writer => writer.numBuffersOut),
      inputQueueLength: gate?.queued ?? 0,
      accumulateBusyTimeMs: task.busyMs,
      accumulateBackPressuredTimeMs: task.backPressuredMs,
      accumulateIdleTimeMs: task.idleMs,
    },
    operators,
  }
}

function graphMismatch(deployment: SlotDeployment, operator: string, what: string): FlinkError {
  return new FlinkError(
    'GRAPH_MISMATCH',
    `the job module of ${deployment.jobName} built another graph on a worker than in the planner: operator '${operator}': ${what}; a job module must not depend on time, chance, environment or host`,
    { operator },
  )
}
