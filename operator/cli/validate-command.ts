import type { Command } from 'commander'

export function addValidateCommand(program: Command, run: (paths: readonly string[]) => Promise<number>, exit: (code: number) => void): void {
  program
    .command('validate')
    .argument('<paths...>', 'manifests (.yaml, .yml, .json), or folders of them')
    .description('checks manifests of FlinkJobs, FlinkSessions and FlinkSnapshots, without a cluster')
    .addHelpText(
      'after',
      `
Held are the rules of the CRDs and those of the operator: fields, options, and what fields mean together. Programs are not run.
Each problem stands on a line with file, line and column. Exit code: 0 all are sound, 1 some are not.

Examples:
  millrace validate job.yaml
  millrace validate deploy/`,
    )
    .action(async (paths: string[]) => exit(await run(paths)))
}
