import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isId, newId } from '../common/ids.ts'
import type { SavepointRequest } from '../rpc/job-manager-gateway.ts'
import { checkpointConfigText, checkpointDetails, checkpointStatistics, operationJson } from './checkpoint-json.ts'
import { badRequest, notFound } from './http-errors.ts'
import { jsonBody, pathId, pathNumber } from './request-parameters.ts'
import { jobNotFound, jobOf } from './routes-jobs.ts'
import type { RestServerOptions } from './server.ts'

/**
 * Checkpoints and savepoints. What takes time follows Flink's protocol: POST answers 202 with an id, GET with that id answers IN_PROGRESS until it
 * answers COMPLETED, with a result or with what went wrong. The client may choose the id; sending one again triggers nothing anew.
 */
export function addCheckpointRoutes(app: FastifyInstance, { gateway, random }: RestServerOptions): void {
  const triggerIdOf = (body: Body) => {
    const { triggerId } = body.fields
    if (triggerId === undefined || triggerId === null) return newId(random)
    if (typeof triggerId !== 'string' || !isId(triggerId.toLowerCase())) throw body.wrong('triggerId', '32 hexadecimal digits')
    return triggerId.toLowerCase()
  }

  const savepoint = (jobId: string, request: SavepointRequest) => {
    if (gateway.triggerSavepoint(jobId, request) === 'not-found') throw jobNotFound(jobId)
    return { 'request-id': request.triggerId }
  }
  app.post('/jobs/:jobid/savepoints', async (request, reply) => {
    const body = bodyOf(request, 'SavepointTriggerRequestBody', ['target-directory', 'cancel-job', 'formatType', 'triggerId'])
    requireCanonical(body)
    const behind = body.boolean('cancel-job') ? 'cancel' : 'go-on'
    const targetDirectory = body.text('target-directory')
    return reply.code(202).send(savepoint(pathId(request, 'jobid'), { triggerId: triggerIdOf(body), targetDirectory, behind }))
  })
  app.post('/jobs/:jobid/stop', async (request, reply) => {
    const body = bodyOf(request, 'StopWithSavepointRequestBody', ['targetDirectory', 'drain', 'formatType', 'triggerId'])
    requireCanonical(body)
    const behind = body.boolean('drain') ? 'drain' : 'stop'
    const targetDirectory = body.text('targetDirectory')
    return reply.code(202).send(savepoint(pathId(request, 'jobid'), { triggerId: triggerIdOf(body), targetDirectory, behind }))
  })
  app.get('/jobs/:jobid/savepoints/:triggerid', async request => {
    const [jobId, triggerId] = [pathId(request, 'jobid'), pathId(request, 'triggerid')]
    const operation = gateway.savepointOperation(jobId, triggerId)
    if (operation === undefined) throw notFound(`There is no savepoint operation with triggerId=${triggerId} for job ${jobId}.`)
    return operationJson(operation, ({ location }) => ({ location }), 'failure-cause')
  })

  app.post('/savepoint-disposal', async request => {
    const body = bodyOf(request, 'SavepointDisposalRequest', ['savepoint-path'])
    const path = body.text('savepoint-path')
    if (path === undefined) throw body.wrong('savepoint-path', 'the path of a savepoint')
    const triggerId = newId(random)
    gateway.triggerDisposal(path, triggerId)
    return { 'request-id': triggerId }
  })
  app.get('/savepoint-disposal/:triggerid', async request => {
    const triggerId = pathId(request, 'triggerid')
    const operation = gateway.disposalOperation(triggerId)
    if (operation === undefined) throw notFound(`There is no savepoint disposal operation with triggerId=${triggerId}.`)
    return operationJson(operation, () => ({}), 'failure-cause')
  })

  app.post('/jobs/:jobid/checkpoints', async (request, reply) => {
    const body = bodyOf(request, 'CheckpointTriggerRequestBody', ['checkpointType', 'triggerId'])
    const type = body.text('checkpointType') ?? 'CONFIGURED'
    if (type !== 'CONFIGURED' && type !== 'FULL') throw body.wrong('checkpointType', 'CONFIGURED or FULL')
    const jobId = pathId(request, 'jobid')
    const triggerId = triggerIdOf(body)
    if (gateway.triggerCheckpoint(jobId, triggerId, type === 'FULL') === 'not-found') throw jobNotFound(jobId)
    return reply.code(202).send({ 'request-id': triggerId })
  })
  app.get('/jobs/:jobid/checkpoints/:triggerid', async request => {
    const [jobId, triggerId] = [pathId(request, 'jobid'), pathId(request, 'triggerid')]
    const operation = gateway.checkpointOperation(jobId, triggerId)
    if (operation === undefined) throw notFound(`There is no checkpoint operation with triggerId=${triggerId} for job ${jobId}.`)
    return operationJson(operation, ({ checkpointId }) => ({ checkpointId }), 'failureCause')
  })

  const statistics = (request: FastifyRequest) => {
    const { jobId } = jobOf(gateway, request)
    const view = gateway.checkpointStatistics(jobId)
    // The Kubernetes operator looks for exactly this text.
    if (view === undefined) throw notFound('Checkpointing has not been enabled.')
    return view
  }
  app.get('/jobs/:jobid/checkpoints', async request => checkpointStatistics(statistics(request)))
  app.get('/jobs/:jobid/checkpoints/config', async (request, reply) => {
    const { jobId } = jobOf(gateway, request)
    const config = gateway.checkpointConfig(jobId)
    if (config === undefined) throw notFound(`Checkpointing is not enabled for this job (${jobId}).`)
    return reply.type('application/json').send(checkpointConfigText(config))
  })
  app.get('/jobs/:jobid/checkpoints/details/:checkpointid', async request => {
    const id = pathNumber(request, 'checkpointid')
    const view = statistics(request).history.find(checkpoint => checkpoint.id === id)
    if (view === undefined) throw notFound(`Could not find checkpointing statistics for checkpoint ${id}.`)
    return checkpointDetails(view)
  })
}

interface Body {
  readonly fields: Readonly<Record<string, unknown>>
  text(field: string): string | undefined
  boolean(field: string): boolean
  wrong(field: string, expected: string): Error
}

function bodyOf(request: FastifyRequest, className: string, names: readonly string[]): Body {
  const fields = jsonBody(request, className, names)
  const wrong = (field: string, expected: string) => badRequest(`Request did not match expected format ${className}: ${field} must be ${expected}`)
  return {
    fields,
    text(field) {
      const value = fields[field] ?? ''
      if (typeof value !== 'string') throw wrong(field, 'a string')
      return value === '' ? undefined : value
    },
    boolean(field) {
      const value = fields[field] ?? false
      if (typeof value !== 'boolean') throw wrong(field, 'true or false')
      return value
    },
    wrong,
  }
}

function requireCanonical(body: Body): void {
  const format = body.text('formatType') ?? 'CANONICAL'
  if (format !== 'CANONICAL') throw body.wrong('formatType', 'CANONICAL: savepoints have one format')
}
