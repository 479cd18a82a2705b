import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { StateBytes } from '../state/state-files.ts'
import { damageOf, findObject } from './found-object.ts'
import {
  checkpointDirectory,
  checkpointStorage,
  dataInlineThreshold,
  incrementalCheckpoints,
  isCheckpointingEnabled,
  recoveryPath,
  savepointDirectory,
  stateBackendType,
} from './options.ts'
import { splitLocation } from './savepoint.ts'
import { SharedReads } from './shared-reads.ts'
import { objectName } from './storage/epoch-log.ts'
import { type ObjectRef, refOf } from './storage/manifest.ts'
import { createMemoryStore } from './storage/memory-store.ts'
import { createOwn, type ObjectStore } from './storage/object-store.ts'
import type { StoreAccess, StoreOpener } from './storage/open-store.ts'
import {
  handedOverSize,
  type OperatorHandover,
  packState,
  placedIn,
  type RestoredOperator,
  readState,
  type StatePlace,
  type TaskState,
} from './task-state.ts'

/**
 * Where the state of a job goes, by two keys as in Flink (seed XA13):
 *
 * | execution.checkpointing.storage | execution.checkpointing.dir | state | manifests |
 * | --- | --- | --- | --- |
 * | jobmanager (default without dir) | none | in manifests, 5 MB an operator | memory of the JobManager |
 * | jobmanager | given | in manifests, 5 MB an operator | the directory |
 * | filesystem (default with dir) | given | objects; small ones in manifests | the directory |
 */
export interface StorageSettings {
  /** Undefined = the memory of the JobManager. */
  readonly directory: string | undefined
  /** State up to this size is carried in manifests. */
  readonly inlineMaxBytes: number
  /** Larger state of one operator cannot be taken: there is no store for it. */
  readonly stateMaxBytes: number
}

export const JOBMANAGER_STATE_MAX_BYTES = 5 * 1024 * 1024

export function storageSettings(configuration: Configuration): StorageSettings {
  const directory = configuration.get(checkpointDirectory)
  const storage = configuration.get(checkpointStorage) ?? storageOfBackend(configuration.get(stateBackendType), directory)
  if (storage === 'jobmanager') return { directory, inlineMaxBytes: Number.POSITIVE_INFINITY, stateMaxBytes: JOBMANAGER_STATE_MAX_BYTES }
  if (directory === undefined)
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      `option ${checkpointStorage.key}: filesystem needs ${checkpointDirectory.key}, as file:///folder or s3://bucket/prefix`,
    )
  return { directory, inlineMaxBytes: configuration.get(dataInlineThreshold), stateMaxBytes: Number.POSITIVE_INFINITY }
}

function storageOfBackend(backend: string, directory: string | undefined): 'jobmanager' | 'filesystem' {
  if (backend === 'memory' || backend === 'jobmanager') return 'jobmanager'
  return backend === 'filesystem' || directory !== undefined ? 'filesystem' : 'jobmanager'
}

/** Whether checkpoints stand behind earlier ones. Where manifests carry the state, each of them carries all of it, so that nothing is saved. */
export function takesIncrements(configuration: Configuration): boolean {
  return (
    isCheckpointingEnabled(configuration) &&
    configuration.get(incrementalCheckpoints) &&
    storageSettings(configuration).stateMaxBytes === Number.POSITIVE_INFINITY
  )
}

/** The JobManager's store of manifests. */
export async function openCheckpointStore(configuration: Configuration, openStore: StoreOpener): Promise<ObjectStore> {
  const { directory } = storageSettings(configuration)
  return directory === undefined ? createMemoryStore() : openStore(directory, configuration, checkpointDirectory.key)
}

/** Folders that a TaskManager keeps open for a job: its own, and those of savepoints. */
const OPEN_MAX = 4

/** Copies of the job's own objects nearer than the store. */
export interface StateCopies {
  put(executionId: string, checkpointId: number, name: string, bytes: Uint8Array): void
  /** As it was written; undefined = there is none. */
  get(ref: ObjectRef): Promise<StateBytes | undefined>
}

/** Of one job, in a TaskManager. A location is the URI of the folder that objects lie in: a savepoint's, or whatever the job was started from. */
export class StateStorage {
  private readonly jobId: string
  private readonly settings: StorageSettings
  private readonly inlineThreshold: number
  private readonly copies: StateCopies | undefined
  private readonly reads: SharedReads<StateBytes>
  private readonly open: (uri: string, key: string, access: StoreAccess) => Promise<ObjectStore>
  /** By access and URI. */
  private readonly stores = new Map<string, Promise<ObjectStore>>()

  constructor(jobId: string, configuration: Configuration, openStore: StoreOpener, copies?: StateCopies, reads = new SharedReads<StateBytes>()) {
    this.jobId = jobId
    this.copies = copies
    this.reads = reads
    this.settings = storageSettings(configuration)
    this.inlineThreshold = configuration.get(dataInlineThreshold)
    this.open = (uri, key, access) => openStore(uri, configuration, key, access)
  }

  /**
   * Resolves when the bytes are where they survive, as far as the storage promises that. Without a location it is a checkpoint of the job. `inlineBytes`: what
   * the task's manifests carry of earlier checkpoints.
   */
  async write(
    checkpointId: number,
    executionId: string,
    operators: readonly OperatorHandover<Uint8Array>[],
    inlineBytes: number,
    location: string | undefined,
  ): Promise<readonly OperatorHandover<StatePlace>[]> {
    if (location === undefined) this.checkSizes(operators)
    const packed = packState(operators)
    const { bytes } = packed
    const inlineMaxBytes = location === undefined ? this.settings.inlineMaxBytes : this.inlineThreshold
    if (inlineBytes + bytes.length <= inlineMaxBytes) return placedIn(packed, { kind: 'inline', bytes })
    const ref = refOf(objectName(checkpointId, executionId), bytes)
    // The name is of the execution and the checkpoint.
    if (location === undefined) {
      this.copies?.put(executionId, checkpointId, ref.name, bytes)
      await createOwn(await this.ownDirectory(), this.pathOf(ref.name), bytes)
    } else {
      const { target, folder } = splitLocation(location)
      await createOwn(await this.opened(target, savepointDirectory.key, 'write'), `${folder}/${ref.name}`, bytes)
    }
    return placedIn(packed, { kind: 'object', ref })
  }

  /** Without a location from the job's own checkpoints. `onObject` is told of each object that is read. */
  async read(
    { operators }: TaskState,
    location: string | undefined,
    onObject: (from: 'copy' | 'store') => void = () => {},
  ): Promise<readonly RestoredOperator[]> {
    return this.reads.during(() =>
      readState(operators, async ref => {
        const copy = location === undefined ? await this.copies?.get(ref) : undefined
        onObject(copy === undefined ? 'store' : 'copy')
        if (copy !== undefined) return copy
        const store = location === undefined ? await this.ownDirectory() : await this.opened(location, recoveryPath.key, 'read')
        const path = location === undefined ? this.pathOf(ref.name) : ref.name
        return this.reads.once(`${store.uri} ${path}`, async () => {
          const found = await findObject(ref, store, path)
          const damage = found === undefined ? `of job ${this.jobId} is not in ${store.uri}` : damageOf(ref, found)
          if (found === undefined || damage !== undefined) throw new FlinkError('CORRUPT_CHECKPOINT', `object ${ref.name} ${damage}`)
          return found.bytes
        })
      }),
    )
  }

  private checkSizes(operators: readonly OperatorHandover<Uint8Array>[]): void {
    const { stateMaxBytes } = this.settings
    for (const operator of operators) {
      const size = handedOverSize(operator)
      if (size > stateMaxBytes)
        throw new FlinkError(
          'UNSUPPORTED',
          `the state of operator ${operator.operatorId} has ${size} bytes, ${checkpointStorage.key} jobmanager keeps at most ${stateMaxBytes} of one; set ${checkpointDirectory.key}`,
        )
    }
  }

  private pathOf(name: string): string {
    return `${this.jobId}/shared/${name}`
  }

  private ownDirectory(): Promise<ObjectStore> {
    const { directory } = this.settings
    if (directory === undefined)
      throw new FlinkError('CORRUPT_CHECKPOINT', `job ${this.jobId} has objects in its state, but no ${checkpointDirectory.key}`)
    return this.opened(directory, checkpointDirectory.key, 'write')
  }

  private opened(uri: string, key: string, access: StoreAccess): Promise<ObjectStore> {
    const id = `${access} ${uri}`
    let store = this.stores.get(id)
    if (store === undefined) {
      store = this.open(uri, key, access)
      // The next checkpoint tries again.
      store.catch(() => this.stores.delete(id))
      const [oldest] = this.stores.keys()
      if (this.stores.size >= OPEN_MAX && oldest !== undefined) this.stores.delete(oldest)
      this.stores.set(id, store)
    }
    return store
  }
}
