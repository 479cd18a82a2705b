import type { ConfigOption, Configuration } from '../common/config.ts'

const second = 1_000
const minute = 60 * second

const backends = ['hashmap', 'jobmanager', 'memory', 'filesystem', 'own'] as const

export const stateBackendType: ConfigOption<(typeof backends)[number] | `${string}#${string}`> = {
  key: 'state.backend.type',
  type: 'enum',
  defaultValue: 'hashmap',
  values: backends,
  form: { pattern: /^[^\s#]+#[\w$]+$/, text: 'module#export' },
  refusedValues: {
    rocksdb: 'RocksDB is not supported yet: state lives on the heap (hashmap)',
    forst: 'ForSt is not supported: state lives on the heap (hashmap)',
  },
  doc: 'where state lives: hashmap is the heap; module#export a backend of your own, from a module that every TaskManager has (absolute path, or a package beside millrace); own is what a program gives to env.setStateBackend, and cannot be set otherwise. The names of Flink 1.x say where checkpoints go, too: jobmanager or memory, filesystem',
}

export const checkpointInterval: ConfigOption<number | undefined> = {
  key: 'execution.checkpointing.interval',
  type: 'duration',
  defaultValue: undefined,
  doc: 'how often a checkpoint is taken; without it, or 0, none is taken and a restarted job begins from the beginning',
}

export const checkpointMode: ConfigOption<'EXACTLY_ONCE' | 'AT_LEAST_ONCE'> = {
  key: 'execution.checkpointing.mode',
  type: 'enum',
  defaultValue: 'EXACTLY_ONCE',
  values: ['EXACTLY_ONCE', 'AT_LEAST_ONCE'],
  doc: 'EXACTLY_ONCE aligns barriers; AT_LEAST_ONCE lets rows pass them, so that after a restore some may count twice',
}

export const checkpointTimeout: ConfigOption<number> = {
  key: 'execution.checkpointing.timeout',
  type: 'duration',
  defaultValue: 10 * minute,
  doc: 'a checkpoint that is not done by then is given up',
}

export const checkpointMinPause: ConfigOption<number> = {
  key: 'execution.checkpointing.min-pause',
  type: 'duration',
  defaultValue: 0,
  doc: 'the least time between the end of a checkpoint and the next one; with it there is one at a time',
}

export const maxConcurrentCheckpoints: ConfigOption<number> = {
  key: 'execution.checkpointing.max-concurrent-checkpoints',
  type: 'int',
  defaultValue: 1,
  doc: 'checkpoints that may be under way at the same time',
}

export const tolerableFailedCheckpoints: ConfigOption<number> = {
  key: 'execution.checkpointing.tolerable-failed-checkpoints',
  type: 'int',
  defaultValue: 0,
  doc: 'checkpoints that may fail one after the other before the job does',
}

export const checkpointRetention: ConfigOption<'NO_EXTERNALIZED_CHECKPOINTS' | 'DELETE_ON_CANCELLATION' | 'RETAIN_ON_CANCELLATION'> = {
  key: 'execution.checkpointing.externalized-checkpoint-retention',
  type: 'enum',
  defaultValue: 'NO_EXTERNALIZED_CHECKPOINTS',
  values: ['NO_EXTERNALIZED_CHECKPOINTS', 'DELETE_ON_CANCELLATION', 'RETAIN_ON_CANCELLATION'],
  doc: 'what becomes of the checkpoints when the job has ended: removed; kept if it FAILED; kept if it FAILED, was CANCELED, was stopped with a savepoint, or was suspended with its JobManager: under its id it can be started again',
}

export const numRetainedCheckpoints: ConfigOption<number> = {
  key: 'execution.checkpointing.num-retained',
  type: 'int',
  defaultValue: 1,
  doc: 'completed checkpoints that are kept',
}

export const checkpointStorage: ConfigOption<'jobmanager' | 'filesystem' | undefined> = {
  key: 'execution.checkpointing.storage',
  type: 'enum',
  defaultValue: undefined,
  values: ['jobmanager', 'filesystem'],
  doc: 'jobmanager keeps checkpoints in its memory (5 MB a state, lost with it); filesystem in execution.checkpointing.dir; default: filesystem where there is a directory',
}

export const checkpointDirectory: ConfigOption<string | undefined> = {
  key: 'execution.checkpointing.dir',
  type: 'string',
  defaultValue: undefined,
  doc: 'where checkpoints are written, as file:///folder or s3://bucket/prefix; JobManager and TaskManagers must all reach it',
}

export const savepointDirectory: ConfigOption<string | undefined> = {
  key: 'execution.checkpointing.savepoint-dir',
  type: 'string',
  defaultValue: undefined,
  doc: 'where savepoints are written for which nobody names a place, as file:///folder or s3://bucket/prefix',
}

export const recoveryPath: ConfigOption<string | undefined> = {
  key: 'execution.state-recovery.path',
  type: 'string',
  defaultValue: undefined,
  doc: 'the savepoint, or checkpoint left by a job, that a job without checkpoints of its own begins with (run -s): the URI or absolute path of its folder',
}

export const recoveryClaimMode: ConfigOption<'NO_CLAIM' | 'CLAIM'> = {
  key: 'execution.state-recovery.claim-mode',
  type: 'enum',
  defaultValue: 'NO_CLAIM',
  values: ['NO_CLAIM', 'CLAIM'],
  doc: "NO_CLAIM never changes what the job was started from; CLAIM makes it the job's own, which removes it when it has a checkpoint of its own; LEGACY is not supported",
}

export const ignoreUnclaimedState: ConfigOption<boolean> = {
  key: 'execution.state-recovery.ignore-unclaimed-state',
  type: 'boolean',
  defaultValue: false,
  doc: 'whether a job may begin with a savepoint that has state which it does not take up (run -n): that state is lost to it',
}

export const incrementalCheckpoints: ConfigOption<boolean> = {
  key: 'execution.checkpointing.incremental',
  type: 'boolean',
  defaultValue: true,
  doc: 'checkpoints hold what has changed since the one before, and a base now and then; false: each one holds all state. Without effect where storage is jobmanager, and for state below 1 MB. Default of Flink: false',
}

export const dataInlineThreshold: ConfigOption<number> = {
  key: 'execution.checkpointing.data-inline-threshold',
  type: 'memory',
  defaultValue: 20 * 1024,
  doc: 'state of a task up to this size stands in the manifest instead of an object of its own; at most 1 MB',
}

export const localBackupEnabled: ConfigOption<boolean> = {
  key: 'execution.checkpointing.local-backup.enabled',
  type: 'boolean',
  defaultValue: false,
  doc: 'TaskManagers keep copies of what their tasks write for the newest checkpoint on disks of their own',
}

export const localBackupDirectories: ConfigOption<readonly string[] | undefined> = {
  key: 'execution.checkpointing.local-backup.dirs',
  type: 'list',
  defaultValue: undefined,
  doc: "folders of a TaskManager's machine for these copies, used in turn; default: beside the code bundles that it keeps. Of the cluster, not of a job",
}

export const recoverFromLocal: ConfigOption<boolean> = {
  key: 'execution.state-recovery.from-local',
  type: 'boolean',
  defaultValue: false,
  doc: 'tasks that begin again where they ran before read such copies instead of the store, where they are whole',
}

export const checkpointingOptions: readonly ConfigOption<unknown>[] = [
  stateBackendType,
  checkpointInterval,
  checkpointMode,
  checkpointTimeout,
  checkpointMinPause,
  maxConcurrentCheckpoints,
  tolerableFailedCheckpoints,
  checkpointRetention,
  numRetainedCheckpoints,
  checkpointStorage,
  checkpointDirectory,
  savepointDirectory,
  recoveryPath,
  recoveryClaimMode,
  ignoreUnclaimedState,
  incrementalCheckpoints,
  dataInlineThreshold,
  localBackupEnabled,
  localBackupDirectories,
  recoverFromLocal,
]

/** Flink's rule: an interval says so, 0 says no. */
export function isCheckpointingEnabled(configuration: Configuration): boolean {
  return (configuration.get(checkpointInterval) ?? 0) > 0
}
