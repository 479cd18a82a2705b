import { FlinkError } from '../../runtime/common/errors.ts'
import type { Random } from '../../runtime/common/random.ts'
import type { EngineCluster } from './engine-cluster.ts'

/** Asks a job for one to four subtasks a vertex: one number for all, since some of the edges may be FORWARD. */
export async function rescaleAtRandom(cluster: EngineCluster, jobId: string, random: Random): Promise<void> {
  if (cluster.jobManager.resourceRequirements(jobId) === undefined) return
  const parallelism = 1 + random.nextInt(4)
  const wanted = Object.fromEntries(
    cluster.job(jobId).vertices.map(({ id, maxParallelism }) => [id, { lowerBound: 1, upperBound: Math.min(parallelism, maxParallelism) }]),
  )
  try {
    await cluster.jobManager.rescaleJob(jobId, wanted)
  } catch (error) {
    // Between two attempts.
    if (!(error instanceof FlinkError) || error.code !== 'CONFLICT') throw error
  }
}
