import { parseDuration } from '../../runtime/common/config.ts'
import { parseCron } from '../api/cron.ts'
import type { FlinkJobManifest, FlinkJobSpec } from '../api/flink-job.ts'
import type { Problem } from './problems.ts'

/** `spec.snapshots`: when savepoints are taken by the clock. Shorter intervals would have one under way all the time. */
const INTERVAL_MIN_MS = 1_000

type Snapshots = NonNullable<FlinkJobManifest['spec']['snapshots']>

export function scheduleProblems(snapshots: Snapshots | undefined): Problem[] {
  const { interval, cron } = snapshots ?? {}
  const problem = (field: string, message: string): Problem => ({ path: ['spec', 'snapshots', field], message, atKey: false })
  const problems: Problem[] = []
  if (interval !== undefined && parseDuration(interval) < INTERVAL_MIN_MS)
    problems.push(problem('interval', `expected at least ${INTERVAL_MIN_MS / 1_000} s, got ${JSON.stringify(interval)}`))
  const parsed = cron === undefined ? undefined : parseCron(cron)
  if (parsed?.kind === 'invalid') problems.push(problem('cron', parsed.problem))
  return problems
}

export function scheduleOf({ interval, cron, retain }: Snapshots): NonNullable<FlinkJobSpec['snapshots']> {
  return {
    ...(interval === undefined ? {} : { intervalMs: parseDuration(interval) }),
    ...(cron === undefined ? {} : { cron }),
    retain,
  }
}
