import { assert } from '../../runtime/common/assert.ts'
import type { Cluster, CommandResult } from './cluster.ts'

/** What end-to-end tests ask about jobs: ids in the command line's words, and REST's answers as far as they are looked at. */
export interface ExceptionJson {
  readonly exceptionName: string
  readonly stacktrace: string
  readonly taskName: string | null
  readonly endpoint: string | null
  readonly taskManagerId: string | null
}

interface VertexSubtasks {
  readonly subtasks: readonly {
    readonly subtask: number
    readonly status: string
    readonly 'taskmanager-id': string
    readonly metrics: Readonly<Record<string, number>>
  }[]
}

export interface JobDetails {
  readonly state: string
  readonly vertices: readonly {
    readonly id: string
    readonly name: string
    readonly status: string
    readonly parallelism: number
    readonly tasks: Readonly<Record<string, number>>
  }[]
  readonly 'millrace-message'?: string
}

export interface OverviewJson {
  readonly taskmanagers: number
  readonly 'slots-total': number
  readonly 'slots-available': number
  readonly 'jobs-running': number
}

/** Numbers for ever, one each 20 ms: a job that goes on until somebody ends it. */
export const ticksJob = `import type { StreamExecutionEnvironment } from 'millrace'
const ticks = () => ({
  stopped: false,
  async run(ctx) {
    for (let n = 0; !this.stopped; n++) {
      ctx.collect(n)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  },
  cancel() { this.stopped = true },
})
export default (env: StreamExecutionEnvironment) => {
  env.addSource(ticks()).name('ticks').rebalance().map(n => n).name('pass').addSink({ invoke() {} })
}
`

export function jobIdOf(result: CommandResult): string {
  const id = /^Job has been submitted with JobID ([0-9a-f]{32})$/m.exec(result.stdout)?.[1]
  assert(id !== undefined, `a job was submitted: ${result.stdout}${result.stderr}`)
  return id
}

/** `run -d`; answers the job's id. */
export async function submit(cluster: Cluster, path: string, args: readonly string[] = [], programArgs: readonly string[] = []): Promise<string> {
  return jobIdOf(await cluster.run(['run', '-d', ...args, path, ...programArgs]))
}

/** Waits until every task of the job runs, or has nothing to do any more. */
export async function running(cluster: Cluster, jobId: string): Promise<void> {
  await cluster.until(`/jobs/${jobId}`, (job: JobDetails) => {
    // Where it begins is asked of the store first; and it may have just been lost.
    if (['INITIALIZING', 'CREATED', 'RESTARTING'].includes(job.state)) return undefined
    assert(job.state === 'RUNNING', `job ${jobId} is ${job.state}`)
    // A vertex runs, as Flink counts, when one of its tasks does.
    const begun = ({ tasks }: JobDetails['vertices'][number]) => (tasks['RUNNING'] ?? 0) + (tasks['FINISHED'] ?? 0)
    return job.vertices.every(vertex => begun(vertex) === vertex.parallelism) ? true : undefined
  })
}

export async function ended(cluster: Cluster, jobId: string, state: string, timeoutMs?: number): Promise<void> {
  await cluster.until(`/jobs/${jobId}`, (job: JobDetails) => (job.state === state ? true : undefined), timeoutMs)
}

export async function exceptions(
  cluster: Cluster,
  jobId: string,
): Promise<readonly (ExceptionJson & { readonly concurrentExceptions: readonly ExceptionJson[] })[]> {
  const answer = await cluster.get<{ exceptionHistory: { entries: (ExceptionJson & { concurrentExceptions: ExceptionJson[] })[] } }>(
    `/jobs/${jobId}/exceptions`,
  )
  return answer.exceptionHistory.entries
}

/** Where the job's subtasks run (of vertices with such a name), without doubles, sorted. */
export async function taskManagersOf(cluster: Cluster, jobId: string, vertexName = ''): Promise<string[]> {
  const job = await cluster.get<JobDetails>(`/jobs/${jobId}`)
  const wanted = job.vertices.filter(({ name }) => name.includes(vertexName))
  const vertices = await Promise.all(wanted.map(({ id }) => cluster.get<VertexSubtasks>(`/jobs/${jobId}/vertices/${id}`)))
  return [...new Set(vertices.flatMap(vertex => vertex.subtasks.map(subtask => subtask['taskmanager-id'])))].sort()
}

/** Records that the job's last vertex has read so far. */
async function recordsRead(cluster: Cluster, jobId: string): Promise<number> {
  const job = await cluster.get<JobDetails>(`/jobs/${jobId}`)
  const last = job.vertices.at(-1)
  assert(last !== undefined, 'a job has vertices')
  const { subtasks } = await cluster.get<VertexSubtasks>(`/jobs/${jobId}/vertices/${last.id}`)
  return subtasks.reduce((sum, { metrics }) => sum + (metrics['read-records'] ?? 0), 0)
}

/** The job runs and reads records that it had not read when this was called. */
export async function goesOn(cluster: Cluster, jobId: string): Promise<void> {
  const before = await recordsRead(cluster, jobId)
  for (;;) {
    const job = await cluster.get<JobDetails>(`/jobs/${jobId}`)
    assert(['RUNNING', 'RESTARTING'].includes(job.state), `job ${jobId} is ${job.state}`)
    if ((await recordsRead(cluster, jobId)) > before) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** All slots are free again, and there are as many as ever. */
export async function slotsFree(cluster: Cluster, total: number): Promise<void> {
  await cluster.until('/overview', (answer: OverviewJson) =>
    answer['slots-total'] === total && answer['slots-available'] === total ? true : undefined,
  )
}
