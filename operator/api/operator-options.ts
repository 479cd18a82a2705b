import { type ConfigOption, Configuration } from '../../runtime/common/config.ts'

/**
 * Options of the operator itself under Flink's operator's names. They stand in `spec.flinkConfiguration` of a FlinkJob as there, are read by the operator, and are not
 * handed to processes: they are no part of what restarts a job.
 */
/** An edit of it restarts nothing. */
export const LOG_LEVEL = 'env.log.level'
const PREFIX = 'kubernetes.operator.'
const HEALTH = `${PREFIX}cluster.health-check.`

const enabled: ConfigOption<boolean> = {
  key: `${HEALTH}enabled`,
  type: 'boolean',
  defaultValue: false,
  doc: 'whether a job that is not healthy is started again from its newest restore point, on a new JobManager',
}

const restartsThreshold: ConfigOption<number> = {
  key: `${HEALTH}restarts.threshold`,
  type: 'int',
  defaultValue: 64,
  doc: 'a job that has restarted more often within the window is not healthy',
}

const restartsWindow: ConfigOption<number> = {
  key: `${HEALTH}restarts.window`,
  type: 'duration',
  defaultValue: 120_000,
  doc: 'in which restarts are counted',
}

const checkpointProgress: ConfigOption<boolean> = {
  key: `${HEALTH}checkpoint-progress.enabled`,
  type: 'boolean',
  defaultValue: true,
  doc: 'whether a job that takes checkpoints and completes none within the window is not healthy',
}

const checkpointWindow: ConfigOption<number | undefined> = {
  key: `${HEALTH}checkpoint-progress.window`,
  type: 'duration',
  defaultValue: undefined,
  doc: 'in which a checkpoint has to be completed; at least, and where it is not set, the larger one of interval and timeout times the tolerable failures and two more',
}

export const operatorOptions: readonly ConfigOption<unknown>[] = [enabled, restartsThreshold, restartsWindow, checkpointProgress, checkpointWindow]

export interface HealthCheck {
  readonly restartsThreshold: number
  readonly restartsWindowMs: number
  readonly checkpointProgress: boolean
  readonly checkpointWindowMs?: number
}

/** Options of processes and jobs, and what the others say; all of them have been checked. */
export function splitOptions(entries: Readonly<Record<string, string>>): {
  readonly flinkConfiguration: Record<string, string>
  readonly healthCheck: HealthCheck | undefined
} {
  const isOwn = (key: string) => key.startsWith(PREFIX)
  const pick = (wanted: boolean) => Object.fromEntries(Object.entries(entries).filter(([key]) => isOwn(key) === wanted))
  const { configuration } = Configuration.parse(pick(true), [operatorOptions])
  const window = configuration.get(checkpointWindow)
  const healthCheck = {
    restartsThreshold: configuration.get(restartsThreshold),
    restartsWindowMs: configuration.get(restartsWindow),
    checkpointProgress: configuration.get(checkpointProgress),
    ...(window === undefined ? {} : { checkpointWindowMs: window }),
  }
  return { flinkConfiguration: pick(false), healthCheck: configuration.get(enabled) ? healthCheck : undefined }
}
