import type { ConfigOption } from '../common/config.ts'

/** That jobs outlive their JobManager. Who leads is not decided here: one JobManager is started after the other. */
const types = ['NONE', 'filesystem'] as const

export const highAvailabilityType: ConfigOption<(typeof types)[number]> = {
  key: 'high-availability.type',
  type: 'enum',
  defaultValue: 'NONE',
  values: types,
  doc: 'NONE: jobs end with their JobManager; filesystem: a JobManager that is started again goes on with them from their newest checkpoints',
}

export const highAvailabilityStorageDir: ConfigOption<string | undefined> = {
  key: 'high-availability.storageDir',
  type: 'string',
  defaultValue: undefined,
  doc: 'where jobs are stored for the next JobManager, as file:///folder or s3://bucket/prefix',
}

export const highAvailabilityClusterId: ConfigOption<string> = {
  key: 'high-availability.cluster-id',
  type: 'string',
  defaultValue: 'default',
  doc: 'tells clusters apart that share a storageDir: letters, digits, ".", "_" and "-"',
}

export const highAvailabilityOptions: readonly ConfigOption<unknown>[] = [highAvailabilityType, highAvailabilityStorageDir, highAvailabilityClusterId]
