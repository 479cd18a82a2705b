import { join } from 'node:path'
import type { StateCase } from '../cases.ts'
import type { Cluster } from './engine.ts'
import { type FlinkSetting, requireFlink, startFlink, uploadPrograms } from './flink.ts'
import { startMillrace, uploadJob } from './millrace.ts'

/** Clusters for jobs with much state. Both take a checkpoint a second into files, restart without a pause and ask one another often whether they live. */
export interface StateCluster {
  readonly cluster: Cluster
  readonly jarId: string
  readonly entry: string
  /** Rows that a job has for each break, as seconds: for the checkpoint before it, and to come back within. */
  readonly breakSeconds: number
}

/** Of a slot with half of the state, at full scale: the state, its garbage, and room for a snapshot under way. */
const MILLRACE_SLOT_MB = 6_144
const FLINK_SLOT_MB = 3_584
/** What rows under way need, however small the state. */
const SLOT_MIN_MB = 512

const common = (folder: string) => ({
  'execution.checkpointing.interval': '1 s',
  'execution.checkpointing.storage': 'filesystem',
  'execution.checkpointing.dir': `file://${join(folder, 'checkpoints')}`,
  'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': '1000000',
  'restart-strategy.fixed-delay.delay': '0 ms',
  'heartbeat.interval': '500 ms',
  'heartbeat.timeout': '3 s',
})

/** A TaskManager is given up with the first call to it that fails, not only when its heartbeats stay away. */
const flinkTuned = {
  'state.backend.type': 'hashmap',
  'pipeline.object-reuse': 'true',
  'heartbeat.rpc-failure-threshold': '1',
  'web.checkpoints.history': '1000',
}

/**
 * Flink restores state on the heap from files without a buffer, a call of the system for each byte or so, which takes minutes for 1 GB: unless snapshots are
 * compressed, whose frames are read whole. So where it restores they are, and kept locally too; its checkpoints are measured without, since that costs time.
 */
const flinkRestoring = {
  'execution.checkpointing.snapshot-compression': 'true',
  'execution.checkpointing.local-backup.enabled': 'true',
  'execution.state-recovery.from-local': 'true',
  // With one checkpoint right behind the other it does not keep up with the rows, and has the longer way back.
  'execution.checkpointing.min-pause': '10 s',
}

const flinkAdaptive = {
  'jobmanager.scheduler': 'adaptive',
  'jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout': '0 ms',
  'jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling': '0 ms',
  'jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout': '0 ms',
  'jobmanager.adaptive-scheduler.rescale-trigger.max-delay': '0 ms',
}

export async function startMillraceWithState(bench: StateCase, scale: number, folder: string): Promise<StateCluster> {
  const heapMb = bench.slots * heapOf(MILLRACE_SLOT_MB, scale)
  const configuration = { ...common(folder), 'taskmanager.memory.task.heap.size': `${heapMb}m` }
  const cluster = await startMillrace({ taskManagers: bench.taskManagers, slots: bench.slots, configuration }, folder)
  return { cluster, jarId: await uploadJob(cluster, 'keyed-state'), entry: 'default', breakSeconds: 30 }
}

export async function startFlinkWithState(bench: StateCase, scale: number, folder: string): Promise<StateCluster> {
  requireFlink()
  const setting: FlinkSetting = {
    name: 'flink tuned',
    heapMb: bench.slots * heapOf(FLINK_SLOT_MB, scale),
    managedMb: 64,
    networkMb: 128,
    // The throughput collector of the other cases stops for seconds with so much that lives.
    jvmFlags: ['-XX:+UseG1GC'],
    configuration: {
      ...common(folder),
      ...flinkTuned,
      ...(bench.measure === 'checkpoint' ? {} : flinkRestoring),
      ...(bench.measure === 'rescale' ? flinkAdaptive : {}),
    },
  }
  const cluster = await startFlink(setting, { taskManagers: bench.taskManagers, slots: bench.slots }, folder)
  return { cluster, jarId: await uploadPrograms(cluster), entry: 'millrace.bench.KeyedState', breakSeconds: 120 }
}

function heapOf(fullMb: number, scale: number): number {
  return Math.round(SLOT_MIN_MB + (fullMb - SLOT_MIN_MB) * scale)
}
