import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ProcessKind, ProcessRecord, ProcessRequest } from '../runtime/cli/context.ts'
import { systemClock } from '../runtime/common/clock.ts'
import { FlinkError, serializeError } from '../runtime/common/errors.ts'
import { jobManagerRpcAddress, jobManagerRpcPort } from '../runtime/jobmanager/options.ts'
import { numberOfTaskSlots } from '../runtime/taskmanager/task-executor-options.ts'
import { clusterToken, clusterTokenOrigin, createProcessLog, type Environment, logDirectory } from './environment.ts'
import { startJobManager } from './jobmanager.ts'
import { hasStandby, whileLeading } from './leadership.ts'
import { ProcessLogLevel } from './log-level.ts'
import { startTaskManager } from './taskmanager.ts'

/**
 * `millrace jobmanager` and `millrace taskmanager`: run until a signal, a request over the network, the parent's end or a fatal error,
 * whichever comes first; then close in order. Answers the exit code.
 */
export async function runProcess(kind: ProcessKind, request: ProcessRequest, environment: Environment, interrupted: AbortSignal): Promise<number> {
  const { configuration } = request
  const level = new ProcessLogLevel(configuration)
  const log = createProcessLog(request.logFormat, level.current)
  level.follow(systemClock, now => log.warn('what is logged has changed', { level: now }))
  const token = clusterToken(environment, configuration)
  const end = Promise.withResolvers<number>()
  const fatal = (error: FlinkError) => {
    log.error('the process cannot go on', { error: serializeError(error) })
    end.resolve(1)
  }
  const onShutDownRequest = (reason: string) => {
    log.info('asked to end', { reason })
    end.resolve(0)
  }
  if (interrupted.aborted) return 0
  interrupted.addEventListener('abort', () => onShutDownRequest('signal'), { once: true })
  if (request.endWithStdin)
    process.stdin
      .on('end', () => onShutDownRequest('the parent has ended'))
      .on('error', () => onShutDownRequest('the parent has ended'))
      .resume()

  const directory = environment.directory
  if (kind === 'jobmanager') {
    // start-cluster and up, which ask for a record, send our output to this file.
    const logPath = request.recordPath === undefined ? {} : { logPath: join(logDirectory(environment, configuration), 'jobmanager-0.log') }
    const lead = async () => {
      const running = await startJobManager({ configuration, token, directory, log, rest: true, fatal, onShutDownRequest, ...logPath })
      const { webAddress, rpcHost, rpcPort } = running
      writeRecord(request.recordPath, { kind, id: 'jobmanager-0', pid: process.pid, webAddress, rpcHost, rpcPort })
      const code = await end.promise
      await running.close('the process ends', interrupted.aborted && hasStandby(configuration))
      removeRecord(request.recordPath)
      return code
    }
    return hasStandby(configuration) ? whileLeading({ configuration, log, interrupted, lead }) : lead()
  }
  const running = await startTaskManager({
    configuration,
    token,
    jobManager: { host: configuration.get(jobManagerRpcAddress), port: configuration.get(jobManagerRpcPort) },
    slotCount: configuration.get(numberOfTaskSlots),
    directory,
    outputDirectory: logDirectory(environment, configuration),
    // Who asks for a record reads the files; a pod's log, and a terminal, are read by people.
    copiesOutput: request.recordPath === undefined,
    ...(request.recordPath === undefined ? {} : { logDirectory: logDirectory(environment, configuration) }),
    servesManyJobs: true,
    log,
    fatal: error => {
      if (error.code !== 'UNAUTHENTICATED') return fatal(error)
      const origin = clusterTokenOrigin(environment, configuration)
      fatal(new FlinkError(error.code, `${error.message}; both must have the same: here it is that of ${origin}`, error.detail, error.cause))
    },
    onShutDownRequest,
  })
  writeRecord(request.recordPath, { kind, id: running.id, pid: process.pid })
  const code = await end.promise
  await running.close()
  removeRecord(request.recordPath)
  return code
}

function writeRecord(path: string | undefined, record: ProcessRecord): void {
  if (path === undefined) return
  mkdirSync(dirname(path), { recursive: true })
  // Renamed into place: whoever waits for it must not read half of it.
  writeFileSync(`${path}.part`, JSON.stringify(record))
  renameSync(`${path}.part`, path)
}

function removeRecord(path: string | undefined): void {
  if (path !== undefined) rmSync(path, { force: true })
}
