import type { JsonObject } from '../../common/json.ts'

/**
 * Files that appear whole or not at all, and a process that can die at any call without a byte lost or doubled. What it takes to go on with a part, or
 * to commit it, is plain data (a recoverable): it goes into a snapshot, and whoever has it can do so, in another process and later.
 *
 * 1. `open` begins a part that no reader sees. Its bytes are appended.
 * 2. `persist`: what was written so far is on disk; the answer says how to `recover` a part that holds exactly this much, whatever is appended
 *    to this one afterwards, by whomever. `closeForCommit`: the part is complete and on disk, not visible; the answer says how to `commit` it.
 * 3. `commit` makes it visible under its target's name, durably. Done before is fine and said so; anything else that is found there is an error that
 *    stops the job: a target of others is never overwritten, and a part that is gone is never guessed about.
 * 4. `sweep` removes what earlier attempts of this subtask began and never committed. Only when no checkpoint that can still be restored holds it.
 */
export interface RecoverableWriter {
  /** `target` is a path below the writer's own, joined by '/'. */
  open(target: string): Promise<PartStream>
  /**
   * A part that begins with the bytes that the recoverable stands for: for `target`, or, where a store cannot copy, the very part under the name it has. Who
   * recovers the same again finds the same.
   */
  recover(recoverable: JsonObject, target: string): Promise<PartStream>
  /** `already` as far as the store tells: some answer a repeated commit as they answered the first. */
  commit(committable: JsonObject): Promise<'committed' | 'already'>
  sweep(): Promise<void>
}

export interface PartStream {
  write(bytes: Uint8Array): Promise<void>
  persist(): Promise<JsonObject>
  /** Nothing is written afterwards. */
  closeForCommit(): Promise<JsonObject>
  /** Lets go of it; what was persisted stays. */
  close(): Promise<void>
  /** Closes it and removes what was written: no snapshot knows of it. */
  dispose(): Promise<void>
}

/** Who writes; all of it stands in the name of a file that is not committed. */
export interface PartOwner {
  readonly jobId: string
  readonly operatorId: string
  readonly subtaskIndex: number
  readonly parallelism: number
  /** The checkpoint that the attempt began from; 0 = none. Later attempts of a job begin from later checkpoints or from the same. */
  readonly restoredCheckpointId: number
  /** Of this attempt of this subtask, never used before. */
  readonly uid: string
}

const OWNED = /\.inprogress\.([0-9a-f]{32})\.([0-9a-f]{32})\.(\d+)\.(\d+)$/

/** Hidden from readers by its first character, as in Flink. `name` holds the owner's uid. */
export function inProgressName(name: string, { jobId, operatorId, subtaskIndex, restoredCheckpointId }: PartOwner): string {
  return `.${name}.inprogress.${jobId}.${operatorId}.${subtaskIndex}.${restoredCheckpointId}`
}

/**
 * Whether an earlier attempt of this very sink began a file, and this subtask is the one to remove it. An attempt that began from the same checkpoint
 * and is not this one has ended, or nobody waits for it any more: a checkpoint of this attempt has completed. One that began from a later checkpoint
 * comes after this attempt, which then just does not know yet that it is over.
 */
export function isAbandoned(fileName: string, owner: PartOwner): boolean {
  const match = OWNED.exec(fileName)
  if (match === null || !fileName.startsWith('.')) return false
  const [, jobId, operatorId, subtaskIndex, restoredCheckpointId] = match
  return (
    jobId === owner.jobId &&
    operatorId === owner.operatorId &&
    Number(subtaskIndex) % owner.parallelism === owner.subtaskIndex &&
    Number(restoredCheckpointId) <= owner.restoredCheckpointId &&
    !fileName.includes(owner.uid)
  )
}
