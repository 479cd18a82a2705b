import { CliArgsError } from './context.ts'

/** Deployment targets and commands of Flink that Millrace does not have, each with what takes its place. */
const YARN_INSTEAD =
  'Millrace does not run on YARN. Use a standalone cluster (millrace start-cluster) or Kubernetes instead: a FlinkSession takes the place of a YARN session, a FlinkJob that of a job with its own cluster. docs/from-flink.md maps yarn-session options to fields.'

export const refusedCommands: Readonly<Record<string, string>> = {
  'yarn-session': `yarn-session is not supported. ${YARN_INSTEAD}`,
  'yarn-session.sh': `yarn-session is not supported. ${YARN_INSTEAD}`,
  'kubernetes-session': 'kubernetes-session is not supported. Create a FlinkSession on Kubernetes instead.',
  'run-application': 'run-application was removed in Flink 2.0. Use a FlinkJob manifest with its own cluster instead (millrace up job.yaml).',
  'sql-client': 'sql-client is not supported yet.',
  'sql-gateway': 'sql-gateway is not supported yet.',
  historyserver: 'historyserver is not supported yet.',
}

export type Target = 'local' | 'remote'

/** `-t`, or undefined when there is none. */
export function parseTarget(target: string | undefined): Target | undefined {
  if (target === undefined || target === 'local' || target === 'remote') return target
  if (target.startsWith('yarn-')) throw new CliArgsError(`The target "${target}" is not supported. ${YARN_INSTEAD}`)
  if (target.startsWith('kubernetes-')) {
    throw new CliArgsError(
      `The target "${target}" is not supported. Create a FlinkJob (its own cluster) or a FlinkSession (a shared one) on Kubernetes instead.`,
    )
  }
  throw new CliArgsError(`The target "${target}" is unknown, expected local or remote.`)
}

export function refuseYarnAddress(address: string | undefined): void {
  if (address === 'yarn-cluster') throw new CliArgsError(`The address "yarn-cluster" (-m) is not supported. ${YARN_INSTEAD}`)
}
