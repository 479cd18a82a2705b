import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Configuration } from '../common/config.ts'
import { globalJobParameters, parseJobParameters } from '../common/job-parameters.ts'
import type { JsonObject } from '../common/json.ts'
import { withMaskedSecrets } from '../common/options.ts'
import type { JobManagerGateway, ResourceRequirements } from '../rpc/job-manager-gateway.ts'
import { badRequest, HttpError, notFound } from './http-errors.ts'
import { executionResult, jobExceptions, jobInfo, jobRow } from './job-json.ts'
import { jobMetrics, metricList } from './metrics-json.ts'
import { jsonBody, pathId, queryList, queryNumber, queryText } from './request-parameters.ts'
import type { RestServerOptions } from './server.ts'
import type { JobsOverview } from './types.ts'

export function addJobRoutes(app: FastifyInstance, options: RestServerOptions): void {
  const { gateway } = options
  const job = (request: FastifyRequest) => jobOf(gateway, request)

  app.get('/jobs', async () => ({ jobs: gateway.listJobs().map(one => ({ id: one.jobId, status: one.state })) }))
  app.get('/jobs/overview', async (): Promise<JobsOverview> => ({ jobs: gateway.listJobs().map(jobRow) }))
  app.get('/jobs/:jobid', async request => {
    const details = job(request)
    return jobInfo(details, options.planOf(details.jobGraph, details.jobId))
  })
  app.get('/jobs/:jobid/status', async request => ({ status: job(request).state }))
  app.get('/jobs/:jobid/plan', async request => {
    const details = job(request)
    return { plan: options.planOf(details.jobGraph, details.jobId) }
  })
  app.get('/jobs/:jobid/config', async request => {
    const details = job(request)
    return {
      jid: details.jobId,
      name: details.name,
      'execution-config': {
        'restart-strategy': details.restartStrategy,
        'job-parallelism': details.parallelism,
        'object-reuse-mode': false,
        'user-config': parseJobParameters(Configuration.fromObject(details.configuration).get(globalJobParameters)),
      },
      // What is set for the job, by key: in code, else by its client, else in the configuration of the cluster.
      'millrace-options': withMaskedSecrets(details.configuration),
    }
  })
  app.get('/jobs/:jobid/jobmanager/config', async request => {
    const merged = { ...gateway.clusterConfiguration(), ...withMaskedSecrets(job(request).configuration) }
    return Object.entries(merged).map(([key, value]) => ({ key, value }))
  })
  app.get('/jobs/:jobid/exceptions', async request => {
    const jobId = pathId(request, 'jobid')
    const entries = gateway.exceptions(jobId)
    if (entries === undefined) throw jobNotFound(jobId)
    return jobExceptions(entries, queryNumber(request, 'maxExceptions') ?? options.settings.exceptionHistorySize)
  })
  app.get('/jobs/:jobid/execution-result', async request => {
    const jobId = pathId(request, 'jobid')
    const result = gateway.jobResult(jobId)
    if (result === undefined) throw jobNotFound(jobId)
    return executionResult(result)
  })
  app.get('/jobs/:jobid/accumulators', async request => {
    job(request)
    return { 'job-accumulators': [], 'user-task-accumulators': [], 'serialized-user-task-accumulators': {} }
  })
  app.get('/jobs/:jobid/metrics', async request => metricList(jobMetrics(job(request)), queryList(request, 'get')))

  app.get('/jobs/:jobid/resource-requirements', async request => {
    const jobId = pathId(request, 'jobid')
    const requirements = gateway.resourceRequirements(jobId)
    if (requirements === undefined) throw jobNotFound(jobId)
    return Object.fromEntries(Object.entries(requirements).map(([vertexId, parallelism]) => [vertexId, { parallelism }]))
  })
  app.put('/jobs/:jobid/resource-requirements', async request => {
    const jobId = pathId(request, 'jobid')
    const present = gateway.resourceRequirements(jobId)
    if (present === undefined) throw jobNotFound(jobId)
    await gateway.rescaleJob(jobId, requirementsFrom(jsonBody(request, 'JobResourceRequirementsBody', Object.keys(present))))
    return {}
  })

  app.patch('/jobs/:jobid', async (request, reply) => {
    const mode = queryText(request, 'mode') ?? 'cancel'
    if (mode === 'stop')
      throw new HttpError(308, 'The termination mode "stop" has been removed. For an ungraceful shutdown, please use "cancel" instead.')
    if (mode !== 'cancel') throw badRequest(`Bad request, could not parse parameters: mode is "${mode}", expected cancel`)
    cancel(gateway, pathId(request, 'jobid'))
    return reply.code(202).send({})
  })
  // Not Flink's: a job of a session goes as it would with a JobManager of its own (docs/decisions/0034-jobs-on-sessions.md).
  app.delete('/jobs/:jobid', async (request, reply) => {
    const jobId = pathId(request, 'jobid')
    if (gateway.releaseJob(jobId) === 'not-found') throw jobNotFound(jobId)
    return reply.code(202).send({})
  })
  app.get('/jobs/:jobid/yarn-cancel', async (request, reply) => {
    cancel(gateway, pathId(request, 'jobid'))
    return reply.code(202).send({})
  })
  app.post('/jobs', async () => {
    throw badRequest(
      'POST /jobs carries a graph serialized by Java, which Millrace cannot read: upload the bundled job with POST /jars/upload and start it with POST /jars/:jarid/run',
    )
  })
}

/** `{"<vertexId>":{"parallelism":{"lowerBound":1,"upperBound":4}}}`; the bounds themselves are checked by who knows the job. */
function requirementsFrom(body: Readonly<Record<string, unknown>>): ResourceRequirements {
  return Object.fromEntries(
    Object.entries(body).map(([vertexId, value]) => {
      const parallelism = (value as JsonObject | null)?.['parallelism'] as JsonObject | null | undefined
      const { lowerBound, upperBound } = parallelism ?? {}
      if (typeof lowerBound !== 'number' || typeof upperBound !== 'number')
        throw badRequest(`Request did not match expected format: vertex ${vertexId}: expected {"parallelism":{"lowerBound":n,"upperBound":m}}`)
      return [vertexId, { lowerBound, upperBound }]
    }),
  )
}

function cancel(gateway: JobManagerGateway, jobId: string): void {
  const answer = gateway.cancelJob(jobId)
  if (answer.kind === 'not-found') throw notFound('Job could not be found.')
  // Cancelling what is cancelled already is what was asked for.
  if (answer.kind === 'already-terminal' && answer.state !== 'CANCELED') {
    throw new HttpError(409, `Job cancellation failed because the job has already reached another terminal state (${answer.state}).`)
  }
}

export function jobOf(gateway: JobManagerGateway, request: FastifyRequest) {
  const jobId = pathId(request, 'jobid')
  const details = gateway.jobDetails(jobId)
  if (details === undefined) throw jobNotFound(jobId)
  return details
}

export function jobNotFound(jobId: string): HttpError {
  return notFound(`Job ${jobId} not found`)
}
