import { FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import { isSameState } from '../graph/declared-state.ts'
import type { JobGraph, JobVertex, OperatorSpec } from '../graph/job-graph.ts'
import type { TypeJson } from '../serde/type-information.ts'
import type { OperatorSnapshot, StateSchema } from '../state/snapshot.ts'
import { redistribute } from './redistribute.ts'
import type { ObjectRef } from './storage/manifest.ts'
import { objectsOf, type StatePlace, type TaskState, taskStateFromJson, taskStateToJson } from './task-state.ts'

/**
 * The body of a manifest: what each task of the job had when the checkpoint was taken, and what the operators were, so that a job of another shape can be
 * compared with it and restored from it. JSON.
 */
export interface CheckpointBody {
  readonly operators: readonly OperatorEntry[]
  readonly tasks: readonly TaskEntry[]
}

export interface OperatorEntry {
  readonly operatorId: string
  /** Null = it has none, and its id depends on the shape of the graph. */
  readonly uid: string | null
  readonly name: string
  /** The kind of operator, as in `OperatorSpec`. */
  readonly type: string
  /** Of the vertex that it was in. */
  readonly vertexId: string
  readonly parallelism: number
  readonly maxParallelism: number
  /** The windows that its state belongs to, as in `OperatorSpec`. */
  readonly windows?: string
  /** Sources: what their enumerator had to say. */
  readonly enumerator: JsonObject | null
}

/** A task that had finished has no state, and what it was to emit has been emitted. */
export interface TaskEntry {
  readonly vertexId: string
  readonly subtaskIndex: number
  readonly state: TaskState | 'finished'
}

export function checkpointBody(
  jobGraph: JobGraph,
  enumerators: ReadonlyMap<string, JsonObject>,
  stateOf: (vertexId: string, subtaskIndex: number) => TaskEntry['state'],
): CheckpointBody {
  return {
    operators: jobGraph.vertices.flatMap(vertex =>
      vertex.operators.map(
        ({ operatorId, uid, name, type, windows }): OperatorEntry => ({
          operatorId,
          uid: uid ?? null,
          name,
          type,
          vertexId: vertex.id,
          parallelism: vertex.parallelism,
          maxParallelism: vertex.maxParallelism,
          ...(windows === undefined ? {} : { windows }),
          enumerator: enumerators.get(operatorId) ?? null,
        }),
      ),
    ),
    tasks: jobGraph.vertices.flatMap(({ id, parallelism }) =>
      Array.from({ length: parallelism }, (_, subtaskIndex): TaskEntry => ({ vertexId: id, subtaskIndex, state: stateOf(id, subtaskIndex) })),
    ),
  }
}

export function bodyObjects({ tasks }: CheckpointBody): readonly ObjectRef[] {
  const refs = tasks.flatMap(({ state }) => (state === 'finished' ? [] : [...objectsOf(state.operators), ...state.kept]))
  // Behind a change of parallelism tasks share objects.
  return [...new Map(refs.map(ref => [ref.name, ref])).values()]
}

export function encodeBody({ operators, tasks }: CheckpointBody): Uint8Array {
  const json = {
    operators,
    tasks: tasks.map(({ vertexId, subtaskIndex, state }) => ({
      vertexId,
      subtaskIndex,
      state: state === 'finished' ? null : taskStateToJson(state),
    })),
  }
  return new TextEncoder().encode(JSON.stringify(json))
}

/** What `encodeBody` made: the manifest's checksum says so. */
export function decodeBody(bytes: Uint8Array): CheckpointBody {
  const json = JSON.parse(new TextDecoder().decode(bytes)) as {
    operators: OperatorEntry[]
    tasks: { vertexId: string; subtaskIndex: number; state: JsonObject | null }[]
  }
  return {
    operators: json.operators,
    tasks: json.tasks.map(({ vertexId, subtaskIndex, state }) => ({
      vertexId,
      subtaskIndex,
      state: state === null ? 'finished' : taskStateFromJson(state),
    })),
  }
}

/** What a task of the new attempt begins with. */
export interface TaskRestore {
  readonly checkpointId: number
  /** It has nothing to do any more: it ends at once, and says so to those behind it. */
  readonly finished: boolean
  /** URI of the folder that the state's objects lie in; null = where the job's own checkpoints have theirs. */
  readonly location: string | null
  readonly state: TaskState
}

/** The state of a checkpoint, dealt out to the tasks of a graph. */
export class RestorePlan {
  readonly checkpointId: number
  /** As in `TaskRestore`. */
  readonly location: string | null
  /** State that the program does not declare is left out. */
  private readonly ignoresUnclaimed: boolean
  private readonly byOperator: ReadonlyMap<string, OperatorEntry>
  private readonly taskStates: ReadonlyMap<string, TaskEntry['state']>
  private readonly dealt = new Map<string, readonly OperatorSnapshot<StatePlace>[]>()

  constructor(checkpointId: number, body: CheckpointBody, location: string | null, ignoresUnclaimed: boolean) {
    this.checkpointId = checkpointId
    this.ignoresUnclaimed = ignoresUnclaimed
    this.location = location
    this.byOperator = new Map(body.operators.map(entry => [entry.operatorId, entry]))
    this.taskStates = new Map(body.tasks.map(({ vertexId, subtaskIndex, state }) => [`${vertexId}/${subtaskIndex}`, state]))
  }

  enumerator(operatorId: string): JsonObject | undefined {
    return this.byOperator.get(operatorId)?.enumerator ?? undefined
  }

  taskRestore(vertex: JobVertex, subtaskIndex: number): TaskRestore {
    const finished = this.isFinished(vertex, subtaskIndex)
    const operators = finished
      ? []
      : vertex.operators.flatMap(spec => {
          const { operatorId } = spec
          const entry = this.byOperator.get(operatorId)
          const snapshot = entry === undefined ? undefined : this.deal(entry, vertex.parallelism)[subtaskIndex]
          return snapshot === undefined ? [] : [{ operatorId, snapshot: this.ignoresUnclaimed ? claimedOf(spec, snapshot) : snapshot }]
        })
    return { checkpointId: this.checkpointId, finished, location: this.location, state: { operators, kept: [] } }
  }

  private isFinished(vertex: JobVertex, subtaskIndex: number): boolean {
    const entries = vertex.operators.map(({ operatorId }) => this.byOperator.get(operatorId))
    return entries.every(entry => {
      if (entry === undefined) return false
      const old = Array.from({ length: entry.parallelism }, (_, index) => this.stateOf(entry, index) === 'finished')
      if (old.every(finished => finished)) return true
      if (entry.parallelism === vertex.parallelism) return old[subtaskIndex] === true
      // Rows that a subtask has not read yet may only be known to itself: sources that hand out splits know better.
      if (old.includes(true) && vertex.inputCount === 0 && entry.enumerator === null)
        throw new FlinkError(
          'UNSUPPORTED',
          `checkpoint ${this.checkpointId}: some subtasks of '${vertex.name}' had finished; it can only be restored with its parallelism of ${entry.parallelism}, not ${vertex.parallelism}`,
        )
      return false
    })
  }

  private deal(entry: OperatorEntry, parallelism: number): readonly OperatorSnapshot<StatePlace>[] {
    const known = this.dealt.get(entry.operatorId)
    if (known !== undefined) return known
    const old = Array.from({ length: entry.parallelism }, (_, index) => this.snapshotOf(entry, index))
    const dealt = redistribute(old, parallelism, entry.maxParallelism)
    this.dealt.set(entry.operatorId, dealt)
    return dealt
  }

  private snapshotOf(entry: OperatorEntry, subtaskIndex: number): OperatorSnapshot<StatePlace> {
    const state = this.stateOf(entry, subtaskIndex)
    if (state === 'finished') return emptyPlaces
    return state.operators.find(({ operatorId }) => operatorId === entry.operatorId)?.snapshot ?? emptyPlaces
  }

  private stateOf(entry: OperatorEntry, subtaskIndex: number): TaskEntry['state'] {
    const state = this.taskStates.get(`${entry.vertexId}/${subtaskIndex}`)
    if (state === undefined)
      throw new FlinkError('CORRUPT_CHECKPOINT', `checkpoint ${this.checkpointId} lacks subtask ${subtaskIndex} of operator '${entry.name}'`)
    return state
  }
}

/** The states that the operator declares. Keyed ones share their bytes: the others are marked, for whoever reads them. */
function claimedOf<B>({ states }: OperatorSpec, { keyed, lists }: OperatorSnapshot<B>): OperatorSnapshot<B> {
  const isClaimed = (name: string, namespace: TypeJson | null) => states.some(state => isSameState(state, { name, namespace }))
  const schemas = keyed?.schemas.map((schema): StateSchema => (isClaimed(schema.name, schema.namespace) ? schema : { ...schema, ignored: true }))
  const isAnyClaimed = schemas?.some(({ ignored }) => ignored !== true) === true
  return {
    keyed: keyed === undefined || schemas === undefined || !isAnyClaimed ? undefined : { ...keyed, schemas },
    lists: lists.filter(({ name }) => isClaimed(name, null)),
  }
}

const emptyPlaces: OperatorSnapshot<StatePlace> = { keyed: undefined, lists: [] }

export function taskRestoreToJson({ checkpointId, finished, location, state }: TaskRestore): JsonObject {
  return { checkpointId, finished, location, state: taskStateToJson(state) }
}

export function taskRestoreFromJson(json: JsonObject): TaskRestore {
  const { checkpointId, finished, location, state } = json as {
    checkpointId: number
    finished: boolean
    location: string | null
    state: JsonObject
  }
  return { checkpointId, finished, location, state: taskStateFromJson(state) }
}
