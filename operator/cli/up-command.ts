import type { Command } from 'commander'

/** The command's words, apart from what it does: other commands need not load the operator. */
export interface UpRequest {
  readonly manifestPath: string
  readonly once: boolean
}

export function addUpCommand(program: Command, run: (request: UpRequest) => Promise<number>, exit: (code: number) => void): void {
  program
    .command('up')
    .argument('<manifest>', 'a FlinkJob manifest (.yaml)')
    .description('runs the job of a manifest on a cluster of its own on this machine, until it ends or Ctrl-C')
    .option('--once', 'gives the program the argument --once: examples that loop read their input once')
    .addHelpText(
      'after',
      `
What the job prints goes to stdout, changes of its state to stderr. Exit code: 0 finished, 1 failed, 130 stopped.

Examples:
  millrace up examples/word-count.yaml
  millrace up --once examples/word-count.yaml > counts.txt`,
    )
    .action(async (manifestPath: string, options: { once?: boolean }) => exit(await run({ manifestPath, once: options.once === true })))
}
