import { sleep } from '../common/clock.ts'
import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { AsyncOperationJson, RestClient, ThrowableJson } from '../rest/types.ts'
import type { CliContext } from './context.ts'
import { cliOptions } from './options.ts'

/** What was triggered in the cluster, until it is done: at most `client.timeout`, as at Flink's; the operation itself goes on. */
const POLL_INTERVAL_MS = 100

export async function awaitSavepoint(context: CliContext, rest: RestClient, configuration: Configuration, jobId: string, triggerId: string) {
  const result = await awaitOperation(context, configuration, triggerId, () => rest.operation('savepoint', jobId, triggerId))
  return String(result['location'])
}

export async function awaitOperation(
  context: CliContext,
  configuration: Configuration,
  triggerId: string,
  ask: () => Promise<AsyncOperationJson>,
): Promise<Readonly<Record<string, unknown>>> {
  const { clock, interrupted } = context
  const timeoutMs = configuration.get(cliOptions.timeout)
  const endMs = clock.monotonicMs() + timeoutMs
  for (;;) {
    if (interrupted.aborted) throw new FlinkError('CANCELLED', `interrupted; the operation goes on, its triggerId is ${triggerId}`)
    const { status, operation } = await ask()
    if (status.id === 'COMPLETED' && operation !== null) {
      const cause = (operation['failure-cause'] ?? operation['failureCause']) as ThrowableJson | undefined
      if (cause !== undefined) throw failureOf(cause)
      return operation
    }
    if (clock.monotonicMs() > endMs)
      throw new FlinkError('TIMEOUT', `no end within ${timeoutMs} ms (option ${cliOptions.timeout.key}); it goes on, its triggerId is ${triggerId}`)
    // Ctrl-C ends the sleep early and is seen at the top.
    await sleep(clock, POLL_INTERVAL_MS, interrupted).catch(() => {})
  }
}

/** What happened is on the machine where it happened; our own stack would only show this function. */
function failureOf(cause: ThrowableJson): FlinkError {
  const error = new FlinkError('EXTERNAL_SYSTEM', cause['stack-trace'].split('\n', 1)[0] ?? cause.class)
  error.stack = cause['stack-trace']
  return error
}

/** With Flink's sentence in front. */
export async function orFail<T>(message: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new FlinkError(error instanceof FlinkError ? error.code : 'INTERNAL', message, { status: 'refused' }, error)
  }
}
