import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { TaskManagerView } from '../rpc/job-manager-gateway.ts'
import { notFound } from './http-errors.ts'
import { taskManagerInfo, taskManagerRow } from './job-json.ts'
import { metricList, taskManagerMetrics } from './metrics-json.ts'
import { pathText, queryList } from './request-parameters.ts'
import { sendText } from './routes-cluster.ts'
import type { RestServerOptions } from './server.ts'

export function addTaskManagerRoutes(app: FastifyInstance, options: RestServerOptions): void {
  const { gateway } = options
  const view = (request: FastifyRequest): TaskManagerView => {
    const id = pathText(request, 'taskmanagerid')
    const found = gateway.taskManager(id)
    if (found === undefined) throw notFound(`Could not find TaskExecutor ${id}.`)
    return found
  }

  app.get('/taskmanagers', async () => ({ taskmanagers: gateway.taskManagers().map(taskManagerRow) }))
  app.get('/taskmanagers/:taskmanagerid', async request => taskManagerInfo(view(request)))
  app.get('/taskmanagers/:taskmanagerid/metrics', async request => metricList(taskManagerMetrics(view(request)), queryList(request, 'get')))
  app.get('/taskmanagers/:taskmanagerid/stdout', async (request, reply) => {
    const { id } = view(request)
    return sendText(reply, await gateway.taskManagerStdout(id), `TaskManager ${id} has no stdout file`)
  })
  app.get('/taskmanagers/:taskmanagerid/log', async (request, reply) => {
    const { id } = view(request)
    return sendText(reply, await gateway.taskManagerLog(id), `TaskManager ${id} writes no log file, its log is on its stderr`)
  })
}
