import type { FlinkJobManifest } from '../api/flink-job.ts'
import type { Problem } from './problems.ts'

/**
 * What a job on Kubernetes keeps has to lie where pods do not: `millrace up` has a folder for it, a pod has none that outlives it. That a program could set the options itself
 * does not help: restore points are looked for before it is run.
 */
const CHECKPOINTS = 'execution.checkpointing.dir'
const SAVEPOINTS = 'execution.checkpointing.savepoint-dir'

export function statePlaceProblems(spec: FlinkJobManifest['spec'] | undefined, configuration: Readonly<Record<string, string>>): Problem[] {
  if (spec === undefined) return []
  const { job, snapshots, deletionPolicy } = spec
  const keeps = job.upgradeMode === 'stateless' ? [] : [`spec.job.upgradeMode ${job.upgradeMode}`]
  const takes = [
    ...(job.upgradeMode === 'savepoint' ? ['spec.job.upgradeMode savepoint'] : []),
    ...(job.savepointTriggerNonce === undefined ? [] : ['spec.job.savepointTriggerNonce']),
    ...(snapshots === undefined ? [] : ['spec.snapshots']),
    ...(deletionPolicy === 'Savepoint' ? ['spec.deletionPolicy Savepoint'] : []),
  ]
  return [...needed(CHECKPOINTS, keeps, configuration), ...needed(SAVEPOINTS, takes, configuration)]
}

function needed(key: string, by: readonly string[], configuration: Readonly<Record<string, string>>): Problem[] {
  if (by.length === 0 || configuration[key] !== undefined) return []
  const message = `${key} is needed on Kubernetes by ${by.join(' and ')}: a place that outlives pods, such as s3://bucket/folder`
  return [{ path: ['spec', 'flinkConfiguration'], message, atKey: true }]
}
