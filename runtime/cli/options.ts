import type { ConfigOption } from '../common/config.ts'

export const cliOptions = {
  timeout: {
    key: 'client.timeout',
    type: 'duration',
    defaultValue: 60_000,
    doc: 'how long the command line waits for one answer',
  } satisfies ConfigOption<number>,
  target: {
    key: 'execution.target',
    type: 'string',
    defaultValue: undefined as string | undefined,
    doc: 'where `millrace run` runs a job: remote (default) or local',
  } satisfies ConfigOption<string | undefined>,
  attached: {
    key: 'execution.attached',
    type: 'boolean',
    defaultValue: true,
    doc: 'whether `millrace run` waits for the end of the job; -d turns it off',
  } satisfies ConfigOption<boolean>,
  shutdownOnAttachedExit: {
    key: 'execution.shutdown-on-attached-exit',
    type: 'boolean',
    defaultValue: false,
    doc: 'whether Ctrl-C of an attached `millrace run` ends the cluster, as -sae does',
  } satisfies ConfigOption<boolean>,
}

export const cliOptionTable: readonly ConfigOption<unknown>[] = Object.values(cliOptions)
