import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import type { JobOutcome, ProgramRequest } from '../runtime/cli/context.ts'
import { assert } from '../runtime/common/assert.ts'
import { FlinkError, serializeError } from '../runtime/common/errors.ts'
import { hex } from '../runtime/common/ids.ts'
import type { JsonObject } from '../runtime/common/json.ts'
import type { Logger } from '../runtime/common/log.ts'
import { createOwnedFolder } from '../runtime/common/owned-folder.ts'
import { systemRandom } from '../runtime/common/random.ts'
import { slotsRequired } from '../runtime/graph/slot-assignment.ts'
import { restOptions } from '../runtime/rest/options.ts'
import { numberOfTaskSlots } from '../runtime/taskmanager/task-executor-options.ts'
import { bundleModule } from './bundle-module.ts'
import { startJobManager } from './jobmanager.ts'
import { Planner } from './program-planner.ts'
import { startTaskManager, type TaskManagerProcess } from './taskmanager.ts'

/**
 * `-t local`: plan in a child, then JobManager and one TaskManager in this process, with as many slots as the job needs, to the job's end.
 * Everything is closed when the outcome is answered, so that what the job printed stands before what is said about it. REST is up only
 * when `rest.port` was asked for.
 */
export async function runLocal(
  request: ProgramRequest,
  events: { readonly onSubmitted: (jobId: string) => void; readonly signal: AbortSignal },
  log: Logger,
): Promise<JobOutcome> {
  const { configuration } = request
  const directory = createOwnedFolder(tmpdir(), 'millrace-')
  const closers: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })]
  try {
    const bundle = await bundleModule(request)
    const planner = new Planner(configuration, directory, false, log)
    closers.push(() => planner.close())
    const { plan, artifact } = await planner.planRequest(request, bundle)
    if (plan.output !== '') process.stdout.write(plan.output)
    events.signal.throwIfAborted()

    const token = hex(systemRandom.bytes(32))
    const fatal = Promise.withResolvers<never>()
    // Looked at below, when the job is waited for; until then it must not count as unhandled.
    fatal.promise.catch(() => {})
    const jobManager = await startJobManager({
      configuration: configuration.with({ 'jobmanager.rpc.address': '127.0.0.1', 'jobmanager.rpc.port': '0' }, 'client'),
      token,
      directory,
      log,
      rest: configuration.has(restOptions.port.key),
      fatal: error => fatal.reject(error),
      onShutDownRequest: () => fatal.reject(new FlinkError('CANCELLED', 'the local cluster was asked to end')),
    })
    closers.push(() => jobManager.close('the start failed'))
    const taskManager: TaskManagerProcess = await startTaskManager({
      configuration: configuration.with({ 'taskmanager.host': '127.0.0.1' }, 'client'),
      token,
      jobManager: { host: jobManager.rpcHost, port: jobManager.rpcPort },
      slotCount: configuration.has(numberOfTaskSlots.key) ? configuration.get(numberOfTaskSlots) : slotsRequired(plan.jobGraph),
      directory,
      outputDirectory: undefined,
      copiesOutput: false,
      log,
      servesManyJobs: false,
      fatal: error => fatal.reject(error),
      // The JobManager says that it will close the connection: then its end is none to report.
      onShutDownRequest: () => {
        // How it ended is said where it is closed below; until then it must not count as unhandled.
        taskManager.close().catch(() => {})
      },
    })
    // The JobManager ends first and says so to its TaskManager: the other way round it would report a lost one.
    closers.push(
      () => taskManager.close(),
      () => jobManager.close('the job has ended'),
    )

    const { gateway } = jobManager
    await gateway.putArtifact(artifact.digest, artifact.bytes)
    const { jobId } = await gateway.submitJob({
      // A JobGraph is JSON by its contract; its interface has no index signature.
      jobGraph: plan.jobGraph as unknown as JsonObject,
      name: plan.jobGraph.jobName,
      artifact: { digest: artifact.digest, entry: request.entry },
      args: request.args,
    })
    events.onSubmitted(jobId)
    const cancel = () => gateway.cancelJob(jobId)
    events.signal.addEventListener('abort', cancel, { once: true })
    if (events.signal.aborted) cancel()
    const result = await Promise.race([gateway.awaitJobResult(jobId), fatal.promise])
    assert(result !== undefined, 'the job was submitted just above')
    return { jobId, name: result.name, state: result.state, runtimeMs: result.endTimeMs - result.startTimeMs, failure: result.failureCause }
  } finally {
    // In reverse: nothing is closed before what uses it. One that fails must not keep the others open.
    for (const close of closers.reverse()) await close().catch((error: unknown) => log.warn('closing failed', { error: serializeError(error) }))
  }
}
