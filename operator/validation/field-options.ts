import type { FlinkJobManifest } from '../api/flink-job.ts'

/** Fields of a spec that are options of Flink's under a shorter name: what they set, and the field that a problem names. */
export interface FieldOption {
  readonly key: string
  readonly value: string
  readonly field: string
}

const strategyKeys = {
  'fixed-delay': { attempts: 'attempts', delay: 'delay' },
  'exponential-delay': {
    attempts: 'attempts-before-reset-backoff',
    initialBackoff: 'initial-backoff',
    maxBackoff: 'max-backoff',
    multiplier: 'backoff-multiplier',
    jitter: 'jitter-factor',
    resetAfter: 'reset-backoff-threshold',
  },
  'failure-rate': { delay: 'delay', maxFailures: 'max-failures-per-interval', interval: 'failure-rate-interval' },
  none: {},
} as const

const kafkaKeys = {
  partitionDiscoveryInterval: 'kafka.partition-discovery-interval',
  defaultApiTimeout: 'kafka.default-api-timeout',
  requestTimeout: 'kafka.request-timeout',
  maxBlock: 'kafka.max-block',
} as const

function kafkaOptions(kafka: FlinkJobManifest['spec']['kafka'] = {}): readonly FieldOption[] {
  return Object.entries(kafkaKeys).flatMap(([field, key]) => {
    const value = kafka[field as keyof typeof kafkaKeys]
    return value === undefined ? [] : [{ key, value, field: `spec.kafka.${field}` }]
  })
}

export function fieldOptions({ restartStrategy, taskManager, kafka }: FlinkJobManifest['spec']): readonly FieldOption[] {
  const options = [...slotOptions(taskManager), ...kafkaOptions(kafka)]
  if (restartStrategy === undefined) return options
  const { type, ...fields } = restartStrategy
  options.push({ key: 'restart-strategy.type', value: type, field: 'spec.restartStrategy.type' })
  const keys: Readonly<Record<string, string>> = strategyKeys[type]
  for (const [field, value] of Object.entries(fields)) {
    const key = keys[field]
    if (key !== undefined && value !== undefined)
      options.push({ key: `restart-strategy.${type}.${key}`, value: String(value), field: `spec.restartStrategy.${field}` })
  }
  return options
}

/** Of a FlinkJob or a FlinkSession. */
export function slotOptions(taskManager: { readonly slots?: number | undefined } | undefined): readonly FieldOption[] {
  if (taskManager?.slots === undefined) return []
  return [{ key: 'taskmanager.numberOfTaskSlots', value: String(taskManager.slots), field: 'spec.taskManager.slots' }]
}
