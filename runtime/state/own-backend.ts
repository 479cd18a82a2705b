/**
 * A state backend of somebody's own: `env.setStateBackend(backend)`, or `state.backend.type: module#export`. It keeps the rows of keyed state of functions, reductions and windows;
 * what they mean is the engine's: types, lists and maps, time-to-live, snapshots and savepoints, which are the same whatever backend a job has. A row is what
 * one key has in one state, with all of its windows. Its contract is tested by `stateBackendContract` of `millrace/testing`.
 */
export interface OwnStateBackend {
  /** For messages. */
  readonly name: string
  /** What it can do: declared, for nobody tries it out. */
  readonly can: {
    /** `rows` answers. False = a job with checkpoints is refused, and so is whatever else needs all keys: savepoints, clean-up of expired values. */
    readonly snapshots: boolean
    /** An iteration of `rows` that has begun may go on while rows are put and removed, and meets at least those that stay. False = checkpoints hold all state. */
    readonly incremental: boolean
  }
  /** One for each operator with keyed state in each subtask. Empty: what is to be restored is put into it. */
  createStore(context: StateStoreContext): StateStore
}

export interface StateStoreContext {
  readonly operatorName: string
  readonly subtaskIndex: number
  readonly parallelism: number
}

/** Called from one thread, always synchronous. Bytes that it is given are its own; those that it answers are not changed. */
export interface StateStore {
  /** `state` counts from 0 on, in the order of the program; `key` is canonical: keys are the same when their bytes are. */
  get(state: number, key: Uint8Array): Uint8Array | undefined
  put(state: number, key: Uint8Array, row: Uint8Array): void
  /** Of a key that it need not have. */
  remove(state: number, key: Uint8Array): void
  /** All rows of a state, in any order, each once. */
  rows(state: number): Iterable<Uint8Array>
  close(): void
}

/** Whatever its class is: a program without types may pass anything. */
export function isOwnStateBackend(backend: unknown): backend is OwnStateBackend {
  if (typeof backend !== 'object' || backend === null) return false
  const { name, can, createStore } = backend as Partial<OwnStateBackend>
  return typeof name === 'string' && typeof can?.snapshots === 'boolean' && typeof can.incremental === 'boolean' && typeof createStore === 'function'
}
