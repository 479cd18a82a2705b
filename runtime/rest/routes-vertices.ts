import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { VertexDetails } from '../rpc/job-manager-gateway.ts'
import { badRequest, notFound } from './http-errors.ts'
import { subtaskRow, subtaskTimes, vertexInfo, vertexTaskManagers } from './job-json.ts'
import { aggregatedMetrics, coordinatorStore, isAggregation, metricList, subtaskStores, vertexStore, watermarks } from './metrics-json.ts'
import { pathId, pathNumber, queryList, querySubtasks } from './request-parameters.ts'
import { jobOf } from './routes-jobs.ts'
import type { RestServerOptions } from './server.ts'

const VERTEX = '/jobs/:jobid/vertices/:vertexid'

export function addVertexRoutes(app: FastifyInstance, options: RestServerOptions): void {
  const vertex = (request: FastifyRequest): VertexDetails => {
    const jobId = jobOf(options.gateway, request).jobId
    const vertexId = pathId(request, 'vertexid')
    const details = options.gateway.vertexDetails(jobId, vertexId)
    if (details === undefined) throw notFound(`JobVertex ${vertexId} not found`)
    return details
  }
  const subtask = (request: FastifyRequest) => {
    const details = vertex(request)
    const index = pathNumber(request, 'subtaskindex')
    const at = details.subtasks.findIndex(one => one.subtaskIndex === index)
    const found = details.subtasks[at]
    if (found === undefined) throw notFound(`Invalid subtask index for vertex ${details.id}`)
    return { details, found, at }
  }

  app.get(VERTEX, async request => vertexInfo(vertex(request)))
  app.get(`${VERTEX}/subtasktimes`, async request => subtaskTimes(vertex(request)))
  app.get(`${VERTEX}/taskmanagers`, async request => vertexTaskManagers(vertex(request)))
  app.get(`${VERTEX}/watermarks`, async request => watermarks(vertex(request)))
  app.get(`${VERTEX}/accumulators`, async request => ({ id: vertex(request).id, 'user-accumulators': [] }))
  app.get(`${VERTEX}/metrics`, async request => metricList(vertexStore(vertex(request)), queryList(request, 'get')))
  app.get(`${VERTEX}/jm-operator-metrics`, async request => metricList(coordinatorStore(vertex(request)), queryList(request, 'get')))
  app.get(`${VERTEX}/subtasks/metrics`, async request => {
    const details = vertex(request)
    const wanted = querySubtasks(request, 'subtasks')
    const agg = queryList(request, 'agg')?.map(name => {
      if (!isAggregation(name)) throw badRequest(`Bad request, could not parse parameters: agg has "${name}", expected min, max, avg, sum or skew`)
      return name
    })
    const stores = subtaskStores(details).filter((_store, at) => wanted(details.subtasks[at]?.subtaskIndex ?? at))
    return aggregatedMetrics(stores, queryList(request, 'get'), agg)
  })
  app.get(`${VERTEX}/subtasks/accumulators`, async request => {
    const details = vertex(request)
    return {
      id: details.id,
      parallelism: details.parallelism,
      subtasks: details.subtasks.map(one => ({
        subtask: one.subtaskIndex,
        attempt: one.attempt,
        endpoint: one.host === '' ? '(unassigned)' : one.host,
        'user-accumulators': [],
      })),
    }
  })
  app.get(`${VERTEX}/subtasks/:subtaskindex`, async request => {
    const { details, found } = subtask(request)
    return subtaskRow(found, details.nowMs)
  })
  app.get(`${VERTEX}/subtasks/:subtaskindex/metrics`, async request => {
    const { details, at } = subtask(request)
    return metricList(subtaskStores(details)[at] ?? {}, queryList(request, 'get'))
  })
}
