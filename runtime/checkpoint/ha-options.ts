import type { ConfigOption, Configuration } from '../common/config.ts'

/** That jobs outlive their JobManager. With `filesystem` one JobManager is started after the other; with `kubernetes` several run, and a Lease says who leads. What either did is fenced by its generation. */
const types = ['NONE', 'filesystem', 'kubernetes'] as const

export const highAvailabilityType: ConfigOption<(typeof types)[number]> = {
  key: 'high-availability.type',
  type: 'enum',
  defaultValue: 'NONE',
  values: types,
  doc: 'NONE: jobs end with their JobManager; filesystem: a JobManager that is started again goes on with them from their newest checkpoints; kubernetes: the same, and JobManagers that do not lead stand by for the Lease <high-availability.cluster-id>-leader',
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

export const highAvailabilityStartId: ConfigOption<string | undefined> = {
  key: 'high-availability.start-id',
  type: 'string',
  defaultValue: undefined,
  doc: 'JobManagers of a cluster go on with the jobs of those that have the same one, and remove the jobs of others; whoever starts a cluster anew gives it another one: letters, digits, "-"; unset: they go on with all jobs that were submitted without one',
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

export const leaderElection = {
  leaseDuration: {
    key: 'high-availability.kubernetes.leader-election.lease-duration',
    type: 'duration',
    defaultValue: 15_000,
    doc: 'how long those who stand by wait for a leader that does not renew its Lease',
  } satisfies ConfigOption<number>,
  renewDeadline: {
    key: 'high-availability.kubernetes.leader-election.renew-deadline',
    type: 'duration',
    defaultValue: 10_000,
    doc: 'a leader that could not renew its Lease for so long ends; shorter than the lease-duration',
  } satisfies ConfigOption<number>,
  retryPeriod: {
    key: 'high-availability.kubernetes.leader-election.retry-period',
    type: 'duration',
    defaultValue: 2_000,
    doc: 'how often the Lease is renewed, and asked for',
  } satisfies ConfigOption<number>,
}

/** Of the API server that a JobManager asks for its Lease; unset, it is a pod, and asks as its service account. */
export const kubernetes = {
  namespace: {
    key: 'kubernetes.namespace',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'the namespace of the Lease; default: that of the pod',
  } satisfies ConfigOption<string | undefined>,
  apiServer: {
    key: 'kubernetes.api-server',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'URL of the API server, outside a pod',
  } satisfies ConfigOption<string | undefined>,
  tokenFile: {
    key: 'kubernetes.token-file',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'a file with the token for kubernetes.api-server',
  } satisfies ConfigOption<string | undefined>,
  certificateAuthority: {
    key: 'kubernetes.certificate-authority',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'a file with the certificates that vouch for kubernetes.api-server, as PEM; default: those of the system',
  } satisfies ConfigOption<string | undefined>,
}

export const highAvailabilityOptions: readonly ConfigOption<unknown>[] = [
  highAvailabilityType,
  highAvailabilityStorageDir,
  highAvailabilityClusterId,
  highAvailabilityStartId,
  jobResultStoragePath,
  jobResultDeleteOnCommit,
  ...Object.values(leaderElection),
  ...Object.values(kubernetes),
]

/** Undefined = it is not stored how jobs have ended. */
export function jobResultLocation(configuration: Configuration): string | undefined {
  const path = configuration.get(jobResultStoragePath)
  if (path !== undefined || configuration.get(highAvailabilityType) === 'NONE') return path
  const directory = configuration.get(highAvailabilityStorageDir)
  return directory === undefined ? undefined : `${directory.replace(/\/+$/, '')}/job-result-store/${configuration.get(highAvailabilityClusterId)}`
}
