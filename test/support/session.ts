import { bundleModule } from '../../bin/bundle-module.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { createRestClient } from '../../runtime/rest/client.ts'
import type { JobResultJson, RestClient } from '../../runtime/rest/types.ts'
import type { Cluster } from './cluster.ts'

/** Many jobs of one module in a session cluster, without a command line process for each: bundled and uploaded once, run by REST. */
export interface SessionProgram {
  /** Answers the job's id: a new one, unless it is given. */
  submit(entry: string, args: readonly string[], parallelism: number, jobId?: string): Promise<string>
  /** Waits for the job's end, whatever it is. */
  result(jobId: string): Promise<JobResultJson>
  run(entry: string, args: readonly string[], parallelism: number): Promise<JobResultJson>
  readonly rest: RestClient
}

export async function sessionProgram(cluster: Cluster, modulePath: string): Promise<SessionProgram> {
  const rest = createRestClient({
    address: cluster.address,
    token: undefined,
    requestTimeoutMs: 30_000,
    attemptsMax: 1,
    retryDelayMs: 100,
    clock: systemClock,
  })
  const bundle = await bundleModule({ modulePath, entry: 'default', configuration: Configuration.fromObject({}) })
  const jarId = await rest.uploadJar(`${bundle.name}.mjs`, bundle.bytes)
  const submit = (entry: string, args: readonly string[], parallelism: number, jobId?: string) =>
    rest.runJar(jarId, { entryClass: entry, programArgsList: args, parallelism, ...(jobId === undefined ? {} : { jobId }) })
  const result = (jobId: string) =>
    cluster.until(`/jobs/${jobId}/execution-result`, (answer: { 'job-execution-result'?: JobResultJson }) => answer['job-execution-result'], 600_000)
  return { submit, result, run: async (entry, args, parallelism) => result(await submit(entry, args, parallelism)), rest }
}
