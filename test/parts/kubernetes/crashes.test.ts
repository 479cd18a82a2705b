import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlinkJob } from '../../../operator/api/flink-job.ts'
import { ApiServerProxy } from '../../support/api-server-proxy.ts'
import { eventually, JobOnKubernetes } from '../../support/job-on-kubernetes.ts'
import { JobRestServer } from '../../support/job-rest-server.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { StoredCluster } from '../../support/stored-cluster.ts'
import { root } from '../../support/up.ts'

/**
 * `millrace operator` as a process against a real kube-apiserver with etcd: killed by SIGKILL when the server has carried out its nth write and not answered yet, for each n,
 * and started anew. The catalogue that it reads is a folder with real claims; StubKubelet and FakeFlinkCluster play what runs. Every so many of the writes, all of them under
 * SOAK=1.
 */
const SERVICES = '127.31.7.1'
let plane: KubeControlPlane
let rests: JobRestServer
let folder: string
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  await plane.installDefinitions()
  rests = await JobRestServer.start(SERVICES)
  folder = mkdtempSync(join(tmpdir(), 'millrace-crashes-'))
  writeFileSync(join(folder, 'token'), plane.token)
})
afterAll(async () => {
  await rests?.[Symbol.asyncDispose]()
  await plane?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** Runs until it is stopped: one that is killed is followed by another. */
class OperatorProcesses implements AsyncDisposable {
  started = 0
  private child: ChildProcess | undefined
  private ended: Promise<unknown> = Promise.resolve()
  private log = ''
  private readonly url: string
  private readonly namespace: string

  constructor(url: string, namespace: string) {
    this.url = url
    this.namespace = namespace
    this.start()
  }

  kill(): void {
    this.child?.kill('SIGKILL')
    this.child = undefined
    void this.ended.then(() => this.start())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child?.kill('SIGTERM')
    await this.ended
  }

  private start(): void {
    this.started++
    const flags = `--import ${join(root, 'test/support/service-names.ts')}`
    const child = spawn(
      join(root, 'bin/millrace'),
      [
        'operator',
        '--image',
        'example/millrace:1',
        '--kube-url',
        this.url,
        '--token-file',
        join(folder, 'token'),
        '--no-leader-election',
        '--namespace',
        this.namespace,
        '--probe-address',
        '127.0.0.1:0',
      ],
      {
        env: { ...process.env, MILLRACE_DIR: join(folder, 'home'), NODE_OPTIONS: flags, MILLRACE_TEST_SERVICES: SERVICES },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log += text
      })
    this.child = child
    this.ended = new Promise(resolve => child.on('close', resolve))
  }

  get said(): string {
    return this.log
  }
}

const running = (job: FlinkJob | undefined) => job?.status?.lifecycleState === 'STABLE' && job.status.jobStatus?.state === 'RUNNING'
const carriedOut = (generation: number) => (job: FlinkJob | undefined) =>
  running(job) && job?.status?.observedGeneration === generation && job.status.upgrade === undefined
const changed = { script: 'export default () => 2' }

interface Story {
  readonly name: string
  readonly upgradeMode?: 'last-state'
  /** From a job that runs; undefined: until it does. */
  readonly act?: (job: JobOnKubernetes) => Promise<void>
  /** What each start but the first goes on from. */
  readonly restored: readonly RegExp[]
}

const stories: readonly Story[] = [
  { name: 'deployed', restored: [] },
  {
    name: 'upgraded-savepoint',
    act: async job => {
      await job.apply(changed)
      await job.until(carriedOut(2))
    },
    restored: [/^savepoint of/],
  },
  {
    name: 'upgraded-last-state',
    upgradeMode: 'last-state',
    act: async job => {
      await job.apply({ ...changed, upgradeMode: 'last-state' })
      await job.until(carriedOut(2))
    },
    restored: [/^checkpoint of/],
  },
  {
    name: 'suspended-resumed',
    act: async job => {
      await job.apply({ state: 'suspended' })
      await job.until(found => found?.status?.lifecycleState === 'SUSPENDED')
      await job.apply({})
      await job.until(carriedOut(3))
    },
    restored: [/^savepoint of/],
  },
  {
    name: 'deleted',
    act: async job => {
      await job.remove()
      await job.until(found => found === undefined)
      await eventually(async () => (await job.processes()).length === 0)
    },
    restored: [],
  },
]

let worlds = 0

interface Told {
  readonly writes: number
  readonly isKilled: boolean
}

/** Killed when write `at` of the story was carried out; undefined = never. The last writes do not always come before the story is over. */
async function tell({ name, upgradeMode, act, restored }: Story, at?: number): Promise<Told> {
  const namespace = `crash-${++worlds}`
  const cluster = new StoredCluster(join(folder, namespace))
  await using proxy = await ApiServerProxy.start(plane)
  await using job = await JobOnKubernetes.start(plane, namespace, cluster)
  rests.add(namespace, cluster)
  await using operator = new OperatorProcesses(proxy.url, namespace)
  const mode = upgradeMode === undefined ? {} : { upgradeMode }
  const count = () => {
    let writes = 0
    proxy.onCarriedOut = ({ kind }) => {
      if (kind === 'write' && ++writes - 1 === at) operator.kill()
    }
    return () => writes
  }
  try {
    let writes = () => 0
    if (act === undefined) writes = count()
    await job.apply(mode)
    await job.until(running)
    if (act !== undefined) writes = count()
    await act?.(job)
    await cluster.stored
    expect(cluster.violations).toEqual([])
    expect(cluster.submittedIds.size).toBe(1)
    expect(cluster.restored.map(from => from ?? 'nothing')).toEqual([
      expect.stringMatching(/^nothing$/),
      ...restored.map(pattern => expect.stringMatching(pattern)),
    ])
    return { writes: writes(), isKilled: operator.started > 1 }
  } catch (error) {
    throw new Error(`${name}, killed at write ${at}: ${error}\n${operator.said.slice(-3_000)}`)
  }
}

const told: Record<string, { readonly writes: number; readonly runs: number; readonly killed: number }> = {}
const PER_STORY = 2

test.each(stories)(
  '$name, and the operator killed at each write',
  async story => {
    const { writes } = await tell(story)
    expect(writes).toBeGreaterThan(2)
    const runs = process.env['SOAK'] === '1' ? writes : PER_STORY
    // Which ones changes from story to story.
    const first = runs === writes ? 0 : stories.indexOf(story) * 2
    let killed = 0
    for (let n = 0; n < runs; n++) if ((await tell(story, (Math.floor((n * writes) / runs) + first) % writes)).isKilled) killed++
    expect(killed).toBeGreaterThan(0)
    told[story.name] = { writes, runs, killed }
  },
  3_600_000,
)

test('five scenarios by real processes, the operator killed at its writes: each ends as it does without', () => {
  console.log(JSON.stringify(told))
  expect(Object.keys(told)).toEqual(stories.map(({ name }) => name))
})
