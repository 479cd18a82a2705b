import type { ConfigOption, Configuration } from '../common/config.ts'

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

export const jobResultStoragePath: ConfigOption<string | undefined> = {
  key: 'job-result-store.storage-path',
  type: 'string',
  defaultValue: undefined,
  doc: 'where it is stored how jobs have ended, as file:///folder or s3://bucket/prefix; unset: <high-availability.storageDir>/job-result-store/<high-availability.cluster-id>, and nowhere without high-availability',
}

export const jobResultDeleteOnCommit: ConfigOption<boolean> = {
  key: 'job-result-store.delete-on-commit',
  type: 'boolean',
  defaultValue: true,
  doc: 'whether the result of a job is removed when everything else of the job has been; false: it stays, and a job is never run a second time under the same id',
}

export const highAvailabilityOptions: readonly ConfigOption<unknown>[] = [
  highAvailabilityType,
  highAvailabilityStorageDir,
  highAvailabilityClusterId,
  jobResultStoragePath,
  jobResultDeleteOnCommit,
]

/** Undefined = it is not stored how jobs have ended. */
export function jobResultLocation(configuration: Configuration): string | undefined {
  const path = configuration.get(jobResultStoragePath)
  if (path !== undefined || configuration.get(highAvailabilityType) === 'NONE') return path
  const directory = configuration.get(highAvailabilityStorageDir)
  return directory === undefined ? undefined : `${directory.replace(/\/+$/, '')}/job-result-store/${configuration.get(highAvailabilityClusterId)}`
}
