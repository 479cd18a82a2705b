import type { FastifyInstance } from 'fastify'
import { notFound } from './http-errors.ts'
import { clusterMetrics, metricList } from './metrics-json.ts'
import { queryList } from './request-parameters.ts'
import type { RestServerOptions } from './server.ts'
import { timezone } from './timezone.ts'
import type { ClusterConfig, Overview } from './types.ts'

export function addClusterRoutes(app: FastifyInstance, options: RestServerOptions): void {
  const { gateway, settings } = options

  app.get('/config', async (): Promise<ClusterConfig> => {
    const zone = timezone(options.clock.nowMs())
    return {
      'refresh-interval': settings.refreshIntervalMs,
      'timezone-name': zone.name,
      'timezone-offset': zone.offsetMs,
      'flink-version': options.version,
      'flink-revision': options.revision,
      features: { 'web-submit': settings.submitEnabled, 'web-cancel': settings.cancelEnabled, 'web-rescale': false, 'web-history': false },
    }
  })

  app.get('/overview', async (): Promise<Overview> => {
    const overview = gateway.overview()
    return {
      taskmanagers: overview.taskManagers,
      'slots-total': overview.slotsTotal,
      'slots-available': overview.slotsAvailable,
      'millrace-slots-required': overview.slotsRequired,
      'jobs-running': overview.jobsRunning,
      'jobs-finished': overview.jobsFinished,
      'jobs-cancelled': overview.jobsCancelled,
      'jobs-failed': overview.jobsFailed,
      'flink-version': options.version,
      'flink-commit': options.revision.split(' ', 1)[0] ?? options.revision,
    }
  })

  app.get('/jobmanager/config', async () => Object.entries(gateway.clusterConfiguration()).map(([key, value]) => ({ key, value })))
  app.get('/jobmanager/metrics', async request =>
    metricList({ ...clusterMetrics(gateway.overview()), ...options.processMetrics() }, queryList(request, 'get')),
  )
  app.get('/jobmanager/log', async (_request, reply) =>
    sendText(reply, await options.logs.log(), 'the JobManager writes no log file, its log is on its stderr'),
  )
  app.get('/jobmanager/stdout', async (_request, reply) => sendText(reply, await options.logs.stdout(), 'the JobManager writes no stdout file'))

  app.delete('/cluster', async (_request, reply) => {
    // Answered first: the shutdown closes this very connection.
    reply.raw.once('finish', () => options.onShutDown())
    return {}
  })
}

export function sendText(reply: { type(type: string): { send(text: string): unknown } }, text: string | undefined, missing: string): unknown {
  if (text === undefined) throw notFound(missing)
  return reply.type('text/plain; charset=UTF-8').send(text)
}
