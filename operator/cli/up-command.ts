import type { Command } from 'commander'

/** The command's words, apart from what it does: other commands need not load the operator. */
export interface UpRequest {
  readonly paths: readonly string[]
  readonly once: boolean
}

export function addUpCommand(program: Command, run: (request: UpRequest) => Promise<number>, exit: (code: number) => void): void {
  program
    .command('up')
    .argument('<paths...>', 'manifests (.yaml, .yml, .json), or folders of them')
    .description('runs the jobs of manifests on this machine, each on a cluster of its own or on a session, until they end or Ctrl-C')
    .option('--once', 'gives the program the argument --once: examples that loop read their input once')
    .addHelpText(
      'after',
      `
An edited manifest upgrades its job, one that is deleted ends it; \`millrace get\`, \`describe\`, \`annotate\` and \`delete\` work meanwhile.
What jobs print goes to stdout, changes of their state to stderr. Exit code: 0 all finished, 1 one failed, 130 stopped.

Examples:
  millrace up examples/word-count.yaml
  millrace up deploy/
  millrace up --once examples/word-count.yaml > counts.txt`,
    )
    .action(async (paths: string[], options: { once?: boolean }) => exit(await run({ paths, once: options.once === true })))
}
