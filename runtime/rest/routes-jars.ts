import type { FastifyInstance, FastifyRequest } from 'fastify'
import { FlinkError } from '../common/errors.ts'
import { isId, newId } from '../common/ids.ts'
import { badRequest } from './http-errors.ts'
import type { PlannedProgram } from './program-planner.ts'
import { jsonBody, pathText, queryList, queryNumber, queryText } from './request-parameters.ts'
import type { RestServerOptions } from './server.ts'
import type { JarList } from './types.ts'

const runFields = [
  'entryClass',
  'programArgsList',
  'parallelism',
  'jobId',
  'allowNonRestoredState',
  'savepointPath',
  'restoreMode',
  'claimMode',
  'flinkConfiguration',
] as const

/**
 * `/jars`: what a "jar" is at Flink's is a bundled job module here (`.mjs`, see runtime/planner/artifact.ts). Running one: the planner makes
 * its JobGraph in a process of its own, the artefact goes to the gateway, the graph is submitted.
 */
export function addJarRoutes(app: FastifyInstance, options: RestServerOptions): void {
  if (!options.settings.submitEnabled) return
  const { gateway, jars } = options

  app.get('/jars', async (request): Promise<JarList> => {
    const files = await jars.list()
    return {
      address: `http://${request.host}`,
      files: files.map(jar => ({ id: jar.id, name: jar.name, uploaded: jar.uploadedMs, entry: [{ name: 'default', description: null }] })),
    }
  })

  app.post('/jars/upload', async request => {
    if (!request.isMultipart()) throw badRequest('the upload is not a multipart form: send the bundle as field "jarfile"')
    const part = await request.file()
    if (part === undefined) throw badRequest('Exactly 1 file must be sent, received 0.')
    const bytes = await part.toBuffer()
    if (!part.filename.endsWith('.mjs'))
      throw badRequest('Only Jar files are allowed. (A jar is a bundled job module here, and its name ends in .mjs.)')
    return { filename: await jars.put(part.filename, bytes), status: 'success' }
  })

  app.delete('/jars/:jarid', async request => {
    await jars.delete(pathText(request, 'jarid'))
    return {}
  })

  app.post('/jars/:jarid/run', async request => {
    const wanted = runRequest(request)
    const planned = await plan(options, pathText(request, 'jarid'), wanted)
    await gateway.putArtifact(planned.artifact.digest, planned.artifact.bytes)
    const { jobId } = await gateway.submitJob({
      jobGraph: planned.jobGraph,
      name: planned.jobName,
      artifact: { digest: planned.artifact.digest, entry: wanted.entry },
      args: wanted.args,
      ...(wanted.jobId === undefined ? {} : { jobId: wanted.jobId }),
    })
    return { jobid: jobId }
  })

  const planRoute = async (request: FastifyRequest) => {
    const wanted = runRequest(request)
    const planned = await plan(options, pathText(request, 'jarid'), wanted)
    return { plan: options.planOf(planned.jobGraph, wanted.jobId ?? newId(options.random)) }
  }
  app.get('/jars/:jarid/plan', planRoute)
  app.post('/jars/:jarid/plan', planRoute)
}

interface RunRequest {
  readonly entry: string
  readonly args: readonly string[]
  readonly parallelism: number | undefined
  readonly jobId: string | undefined
  readonly configuration: Readonly<Record<string, string>>
}

/** Options of the job, as `runtime/checkpoint/options.ts` has them. */
const recoveryKeys = {
  path: 'execution.state-recovery.path',
  claimMode: 'execution.state-recovery.claim-mode',
  ignoreUnclaimed: 'execution.state-recovery.ignore-unclaimed-state',
} as const

/** Body or query, the body wins. */
function runRequest(request: FastifyRequest): RunRequest {
  const body = jsonBody(request, 'JarRunRequestBody', runFields)
  const wrong = (field: string, expected: string) =>
    badRequest(`Request did not match expected format JarRunRequestBody: ${field} must be ${expected}`)
  const text = (field: string, queryName = field): string | undefined => {
    const value = body[field] ?? queryText(request, queryName)
    if (value === undefined || value === '') return undefined
    if (typeof value !== 'string') throw wrong(field, 'a string')
    return value
  }
  const args = body['programArgsList'] ?? queryList(request, 'programArg') ?? []
  if (!Array.isArray(args) || !args.every(arg => typeof arg === 'string')) throw wrong('programArgsList', 'a list of strings')
  const parallelism = body['parallelism'] ?? queryNumber(request, 'parallelism')
  if (parallelism !== undefined && (typeof parallelism !== 'number' || !Number.isInteger(parallelism) || parallelism < 1)) {
    throw wrong('parallelism', 'a positive whole number')
  }
  const jobId = text('jobId')
  if (jobId !== undefined && !isId(jobId)) throw wrong('jobId', '32 hexadecimal digits')
  const configuration = body['flinkConfiguration'] ?? {}
  if (typeof configuration !== 'object' || Object.values(configuration).some(value => typeof value !== 'string')) {
    throw wrong('flinkConfiguration', 'a map of strings')
  }
  const allowed = body['allowNonRestoredState'] ?? queryText(request, 'allowNonRestoredState') ?? false
  if (!['true', 'false'].includes(String(allowed))) throw wrong('allowNonRestoredState', 'true or false')
  const savepointPath = text('savepointPath')
  const claimMode = text('claimMode') ?? text('restoreMode')
  return {
    entry: text('entryClass', 'entry-class') ?? 'default',
    args,
    parallelism,
    jobId,
    // Checked one by one just above.
    configuration: {
      ...(configuration as Record<string, string>),
      ...(savepointPath === undefined ? {} : { [recoveryKeys.path]: savepointPath }),
      ...(claimMode === undefined ? {} : { [recoveryKeys.claimMode]: claimMode }),
      ...(String(allowed) === 'true' ? { [recoveryKeys.ignoreUnclaimed]: 'true' } : {}),
    },
  }
}

async function plan(options: RestServerOptions, jarId: string, wanted: RunRequest): Promise<PlannedProgram> {
  const artifact = await options.jars.get(jarId)
  const planned = await options.planner.plan({
    artifact,
    entry: wanted.entry,
    args: wanted.args,
    parallelism: wanted.parallelism,
    configuration: wanted.configuration,
    fallbackJobName: jarId.slice(jarId.indexOf('_') + 1).replace(/\.mjs$/, ''),
  })
  const vertices = planned.jobGraph['vertices']
  if (Array.isArray(vertices) && vertices.length === 0) {
    throw new FlinkError('INVALID_PROGRAM', 'No jobs included in application.')
  }
  return planned
}
