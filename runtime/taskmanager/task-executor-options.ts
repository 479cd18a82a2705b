import type { ConfigOption } from '../common/config.ts'

const second = 1_000

export const numberOfTaskSlots: ConfigOption<number> = {
  key: 'taskmanager.numberOfTaskSlots',
  type: 'int',
  defaultValue: 1,
  doc: 'slots of one TaskManager; each runs one subtask of every vertex of a sharing group at most',
}

export const registrationTimeout: ConfigOption<number> = {
  key: 'taskmanager.registration.timeout',
  type: 'duration',
  defaultValue: 300 * second,
  doc: 'how long a TaskManager tries to register before it ends',
}

export const taskCancellationInterval: ConfigOption<number> = {
  key: 'task.cancellation.interval',
  type: 'duration',
  defaultValue: 30 * second,
  doc: 'a slot whose tasks have not ended so long after they were cancelled is terminated',
}

export const taskCancellationTimeout: ConfigOption<number> = {
  key: 'task.cancellation.timeout',
  type: 'duration',
  defaultValue: 180 * second,
  doc: 'a TaskManager whose tasks have not ended so long after they were cancelled ends itself',
}

export const taskExecutorOptions: readonly ConfigOption<unknown>[] = [
  numberOfTaskSlots,
  registrationTimeout,
  taskCancellationInterval,
  taskCancellationTimeout,
]
