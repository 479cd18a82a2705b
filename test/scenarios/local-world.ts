import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { optionTables } from '../../bin/option-tables.ts'
import { catalogueOf, createPrograms, tokenOf } from '../../bin/up.ts'
import { withDefaults } from '../../operator/cli/admission.ts'
import { createLocalExecutors } from '../../operator/effects/local-executors.ts'
import { LocalApiServer } from '../../operator/kube/local-api-server.ts'
import { flinkJobController } from '../../operator/manager/flink-job-controller.ts'
import { flinkSnapshotController } from '../../operator/manager/flink-snapshot-controller.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { createRestClient } from '../../runtime/rest/client.ts'
import { restOptions } from '../../runtime/rest/options.ts'
import { processesOf, root } from '../support/up.ts'
import { RunningOperator } from './running-operator.ts'
import { jobOf, type ScenarioWorld } from './scenario.ts'

/** A scenario on real processes of this machine, as under `millrace up`: the same API server, executors, bundler and planner, in a directory of its own. */
export interface LocalWorld extends ScenarioWorld, AsyncDisposable {
  processes(): readonly string[]
}

const NAME = 'job'
const NAMESPACE = 'default'

export async function localWorld(): Promise<LocalWorld> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-scenario-'))
  const savepoints = join(directory, 'savepoints')
  const configuration = Configuration.fromObject({})
  const clock = systemClock
  const random = systemRandom
  const server = new LocalApiServer({ clock, random, admit: withDefaults })
  const clusterDirectory = join(directory, 'up', NAMESPACE, NAME, 'cluster')
  const rest = (address: string) =>
    createRestClient({
      address,
      token: tokenOf(clusterDirectory)[restOptions.token.key],
      requestTimeoutMs: 10_000,
      attemptsMax: 3,
      retryDelayMs: 100,
      clock,
    })
  const executors = createLocalExecutors({
    directory: join(directory, 'up'),
    launcher: [join(root, 'bin/millrace')],
    env: process.env,
    pid: process.pid,
    clock,
    catalogue: entries => catalogueOf(configuration.with(entries, 'file')),
    isConfigured: () => false,
    programs: () => createPrograms(configuration, () => ({ folder: root, fileName: 'job.ts', scriptLine: undefined })),
    rest: () => rest,
    restOfSession: () => rest,
    note: () => {},
    startTimeoutMs: 60_000,
    stopTimeoutMs: 30_000,
  })
  const held = { kind: 'FlinkJob', metadata: { namespace: NAMESPACE, name: NAME } }
  const operator = new RunningOperator({
    api: server,
    namespace: NAMESPACE,
    controllers: watched => {
      const parts = { api: server, clock, random, log: noLog }
      return [
        flinkJobController({ ...parts, executors: watched(executors), optionTables, rest: () => rest }),
        flinkSnapshotController({
          ...parts,
          catalogue: job => catalogueOf(configuration.with({ ...world.options, ...job?.spec.flinkConfiguration }, 'file')),
          rest: () => rest,
        }),
      ]
    },
  })
  const processes = () => processesOf(directory).filter(line => line.includes('--end-with-stdin'))
  const world: LocalWorld = {
    server,
    async apply(object) {
      await executors.hold(held)
      await server.apply(object, 'kubectl')
    },
    namespace: NAMESPACE,
    name: NAME,
    options: { 'rest.port': '0', 'slot.idle.timeout': '1 s', 'execution.checkpointing.savepoint-dir': pathToFileURL(savepoints).href },
    until: (look, about, limitMs) => operator.until(look, about, limitMs),
    witness: (look, about) => operator.witness(look, about),
    settled: () => operator.settled(world),
    async kill(what) {
      if (what === 'operator') return operator.restart()
      const found = processes().find(line => line.includes(` ${what} `))
      if (found === undefined) throw new Error(`no ${what} runs`)
      process.kill(Number(found.split(' ')[0]), 'SIGKILL')
    },
    async savepoints(how) {
      const away = `${savepoints}.away`
      if (how === 'fail') {
        if (existsSync(savepoints)) renameSync(savepoints, away)
        // Nothing can be made in a file.
        writeFileSync(savepoints, '')
      } else {
        rmSync(savepoints)
        if (existsSync(away)) renameSync(away, savepoints)
      }
    },
    async hasCheckpointed() {
      const { jobStatus, clusterInfo } = (await jobOf(world))?.status ?? {}
      const address = clusterInfo?.['web-address']
      if (jobStatus === undefined || address === undefined) return false
      return (await rest(address).checkpointStatistics(jobStatus.jobId)).counts.completed > 0
    },
    starts: () => operator.starts,
    violations: () => [],
    processes,
    async [Symbol.asyncDispose]() {
      await operator[Symbol.asyncDispose]()
      await executors.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return world
}
