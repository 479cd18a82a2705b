import type { ConfigOption } from '../common/config.ts'
import { restartStrategyOptions } from './restart-strategy.ts'

const second = 1_000
const minute = 60 * second

export const jobManagerRpcAddress: ConfigOption<string> = {
  key: 'jobmanager.rpc.address',
  type: 'string',
  defaultValue: 'localhost',
  doc: 'host on which the JobManager waits for TaskManagers, and where they look for it',
}

export const jobManagerRpcPort: ConfigOption<number> = {
  key: 'jobmanager.rpc.port',
  type: 'int',
  defaultValue: 6123,
  doc: 'port on which the JobManager waits for TaskManagers; 0 = any free one',
}

export const heartbeatInterval: ConfigOption<number> = {
  key: 'heartbeat.interval',
  type: 'duration',
  defaultValue: 10 * second,
  doc: 'how often the JobManager asks each TaskManager for its slots and tells it what its jobs own there',
}

export const heartbeatTimeout: ConfigOption<number> = {
  key: 'heartbeat.timeout',
  type: 'duration',
  defaultValue: 50 * second,
  doc: 'silence after which either side gives the other one up',
}

export const slotRequestTimeout: ConfigOption<number> = {
  key: 'slot.request.timeout',
  type: 'duration',
  defaultValue: 5 * minute,
  doc: 'how long a job waits for its slots before it fails with NoResourceAvailableException',
}

export const slotIdleTimeout: ConfigOption<number> = {
  key: 'slot.idle.timeout',
  type: 'duration',
  defaultValue: 50 * second,
  doc: 'how long a running job keeps a slot that none of its tasks uses',
}

export const loadBalanceModeOption: ConfigOption<'NONE' | 'SLOTS'> = {
  key: 'taskmanager.load-balance.mode',
  type: 'enum',
  defaultValue: 'NONE',
  values: ['NONE', 'SLOTS'],
  doc: 'NONE takes the first free slot, SLOTS spreads over the TaskManagers by the share of their slots that is taken',
}

export const completedJobExpiration: ConfigOption<number> = {
  key: 'completed-application-store.expiration-time',
  type: 'duration',
  defaultValue: 60 * minute,
  doc: 'how long a job that has ended is still listed',
}

export const exceptionHistorySize: ConfigOption<number> = {
  key: 'web.exception-history-size',
  type: 'int',
  defaultValue: 16,
  doc: 'failures of a job that are kept, newest first',
}

export const failoverStrategy: ConfigOption<'region' | 'full'> = {
  key: 'jobmanager.execution.failover-strategy',
  type: 'enum',
  defaultValue: 'region',
  values: ['region', 'full'],
  doc: 'what is restarted when a task fails: region, the tasks that exchange records with it while they run; full, all tasks of the job',
}

export const jobManagerOptions: readonly ConfigOption<unknown>[] = [
  jobManagerRpcAddress,
  jobManagerRpcPort,
  heartbeatInterval,
  heartbeatTimeout,
  slotRequestTimeout,
  slotIdleTimeout,
  loadBalanceModeOption,
  completedJobExpiration,
  exceptionHistorySize,
  failoverStrategy,
  ...restartStrategyOptions,
]
