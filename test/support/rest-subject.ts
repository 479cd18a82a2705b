import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../runtime/common/clock.ts'
import { buildArtifact } from '../../runtime/planner/artifact.ts'
import { createRestClient } from '../../runtime/rest/client.ts'
import { startCluster } from './cluster.ts'
import type { RestSubject } from './rest-conversation.ts'

/** A real JobManager with two TaskManagers of one slot, for a conversation. */
export async function realRestSubject(): Promise<RestSubject & AsyncDisposable> {
  const state = await mkdtemp(join(tmpdir(), 'millrace-rest-'))
  const cluster = await startCluster({
    taskManagers: 2,
    slots: 1,
    configuration: {
      'execution.checkpointing.dir': `file://${state}`,
      'execution.checkpointing.interval': '1 s',
      'execution.checkpointing.timeout': '60 s',
      'restart-strategy.type': 'none',
    },
  })
  const { address, folder } = cluster
  const rest = createRestClient({ address, token: undefined, requestTimeoutMs: 30_000, attemptsMax: 3, retryDelayMs: 100, clock: systemClock })
  const jarOf = async (name: string, text: string) => {
    const { bytes } = await buildArtifact({ kind: 'script', text, name: `${name}.ts`, folder: new URL('../..', import.meta.url).pathname })
    return rest.uploadJar(`${name}.mjs`, bytes)
  }
  return {
    rest,
    runningJar: await jarOf('running', RUNNING),
    failingJar: await jarOf('failing', FAILING),
    savepoints: `file://${folder.path}/savepoints`,
    async breakSavepoints() {
      // Nothing can be made in a file.
      await writeFile(join(folder.path, 'file'), '')
      return `file://${folder.path}/file`
    },
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]()
      await rm(state, { recursive: true, force: true })
    },
  }
}

const RUNNING = `import { DataGeneratorSource, Types, WatermarkStrategy } from 'millrace'
export default env => {
  env.fromSource(new DataGeneratorSource(n => [n % 2, 1], { rowsPerSecond: 20, type: Types.tuple(Types.INT, Types.INT) }), WatermarkStrategy.noWatermarks(), 'numbers').keyBy(0).sum(1).print()
}`

const FAILING = "export default env => { env.fromElements('a').map(() => { throw new Error('no price') }).print() }"
