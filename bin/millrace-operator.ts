import { addOperatorCommand } from '../operator/cli/operator-command.ts'
import { addTestJobCommand } from '../operator/cli/test-job.ts'
import { createProgram, report } from '../runtime/cli/program.ts'
import { interruptedBySignals } from './interruption.ts'
import { runOperator } from './operator.ts'
import { testJob } from './test-job.ts'
import { commit, version } from './version.ts'

/** The entry of the operator's image: `millrace operator` and its test alone, so that nothing that runs or bundles programs comes with it. */
const output = {
  stdout: (line: string) => process.stdout.write(`${line}\n`),
  stderr: (line: string) => process.stderr.write(`${line}\n`),
}
const { signal } = interruptedBySignals()
const program = createProgram({ ...output, version, commit })
const end = (code: number) => {
  process.exitCode = code
}
addOperatorCommand(program, request => runOperator(request, signal, process.env), process.env, end)
addTestJobCommand(program, request => testJob(request, process.env), end)
try {
  await program.parseAsync()
} catch (error) {
  end(report(output, error))
}
// As bin/millrace.ts: a handle that a library keeps must not keep the process.
process.stdout.write('', () => process.exit())
