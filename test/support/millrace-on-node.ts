import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, vi } from 'vitest'
import { CHART } from '../../bin/chart.ts'
import { buildArchive } from '../../bin/image/buildah.ts'
import { images, stageRoot } from '../../bin/image/root-fs.ts'
import type { Condition } from '../../operator/api/fields.ts'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import { runHelm, valuesArgs } from './helm.ts'
import { kubeBinary } from './kube-binaries.ts'
import { type KubernetesNode, startKubernetesNode, type TestCluster } from './kubernetes-node.ts'
import { ACCESS_KEY, S3Server, SECRET_KEY } from './s3-server.ts'

/**
 * Millrace as people have it: its images on a real node, the operator by `helm install`, an S3 server beside it. Both namespaces enforce the restricted Pod Security standard: what does not keep to
 * it is refused.
 */
export const SYSTEM = 'millrace-system'
export const JOBS = 'jobs'
export const BUCKET = 'state'
const RELEASE = 'millrace'
export const OPERATOR_ACCOUNT = `system:serviceaccount:${SYSTEM}:millrace-operator`

const KINDS = ['flinkjobs', 'flinksessions', 'flinksnapshots'].map(plural => `crd/${plural}.millrace.dev`)

export class MillraceOnNode<Cluster extends TestCluster = KubernetesNode> implements AsyncDisposable {
  readonly node: Cluster
  readonly s3: S3Server
  private readonly home: string

  private constructor(node: Cluster, s3: S3Server, home: string) {
    this.node = node
    this.s3 = s3
    this.home = home
  }

  /** `values`: of the chart. */
  static start(values?: (world: Pick<MillraceOnNode, 'node' | 's3'>) => object): Promise<MillraceOnNode> {
    return MillraceOnNode.on(startKubernetesNode, values)
  }

  static async on<Cluster extends TestCluster>(
    startCluster: () => Promise<Cluster>,
    values: (world: Pick<MillraceOnNode<Cluster>, 'node' | 's3'>) => object = () => ({}),
  ): Promise<MillraceOnNode<Cluster>> {
    const home = mkdtempSync(join(tmpdir(), 'millrace-images-'))
    const parts: AsyncDisposable[] = []
    try {
      for (const image of images) await stageRoot(image, home)
      const node = await startCluster()
      parts.push(node)
      for (const image of images) node.importImage(buildArchive(image, home).path)
      const s3 = await S3Server.start(node.outside)
      s3.createBucket(BUCKET)
      const world = new MillraceOnNode(node, s3, home)
      parts[0] = world
      for (const namespace of [SYSTEM, JOBS]) {
        await node.kubectl(['create', 'namespace', namespace])
        await node.kubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted'])
      }
      await world.helm('install', RELEASE, CHART, ...valuesArgs(values(world)), '--wait', '--timeout', '90s')
      return world
    } catch (error) {
      for (const part of parts) await part[Symbol.asyncDispose]()
      rmSync(home, { recursive: true, force: true })
      throw error
    }
  }

  /** On a cluster that stays: nothing of it does. Jobs first, while somebody is there to look after them. */
  async leave(): Promise<void> {
    await this.kubectl('delete', 'flinkjobs,flinksessions', '--all', '--timeout=120s')
    // The operator may be gone already.
    for (const snapshot of await this.names('flinksnapshots'))
      await this.kubectl('patch', snapshot, '--type=merge', '--patch={"metadata":{"finalizers":null}}')
    await this.node.kubectl(['delete', 'namespace', JOBS, '--ignore-not-found', '--timeout=120s'])
    await this.helm('uninstall', RELEASE, '--ignore-not-found', '--wait')
    await this.node.kubectl(['delete', 'namespace', SYSTEM, '--ignore-not-found', '--timeout=120s'])
    await this.node.kubectl(['delete', ...KINDS, '--ignore-not-found', '--timeout=60s'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.s3.stop()
    await this.node[Symbol.asyncDispose]()
    rmSync(this.home, { recursive: true, force: true })
  }

  helm(...args: readonly string[]): Promise<string> {
    return runHelm([...args, '--kubeconfig', this.node.kubeconfig, '--namespace', SYSTEM], this.home)
  }

  apply(...objects: readonly object[]): Promise<string> {
    return this.node.kubectl(['-n', JOBS, 'apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  }

  /** As people build theirs on ours (docs/images.md): `files` by their paths below /opt/millrace. After the other images, whose root it changes. */
  importImageWith(name: string, files: Readonly<Record<string, string>>): void {
    const [runtime] = images.filter(({ target }) => target === 'runtime')
    if (runtime === undefined) throw new Error('there is no image of the runtime')
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.home, 'runtime', 'opt', 'millrace', path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    this.node.importImage(buildArchive({ ...runtime, name }, this.home).path)
  }

  /** kubectl in the namespace of jobs. */
  kubectl(...args: readonly string[]): Promise<string> {
    return this.node.kubectl(['-n', JOBS, ...args])
  }

  async status(name: string): Promise<FlinkJob['status']> {
    const { items } = JSON.parse(await this.kubectl('get', 'flinkjobs', '-o', 'json')) as { items: readonly FlinkJob[] }
    return items.find(({ metadata }) => metadata.name === name)?.status
  }

  async reaches(name: string, wanted: object): Promise<void> {
    try {
      // Not `expect.poll`: also before a test.
      await vi.waitFor(async () => expect(await this.status(name)).toMatchObject(wanted), { timeout: 120_000, interval: 200 })
    } catch (error) {
      console.info(await this.report())
      throw error
    }
  }

  /** Names of these kinds in the namespace of jobs, sorted. */
  async names(kinds: string, ...args: readonly string[]): Promise<readonly string[]> {
    return (await this.kubectl('get', kinds, '-o', 'name', ...args)).split('\n').filter(Boolean).sort()
  }

  /** Pods of JobManagers and TaskManagers; of one cluster. */
  processes(cluster?: string): Promise<readonly string[]> {
    const ofCluster = cluster === undefined ? '' : `,app.kubernetes.io/instance=${cluster}`
    return this.names('pods', '-l', `app.kubernetes.io/component in (jobmanager,taskmanager)${ofCluster}`)
  }

  /** Who goes into them waits for that: a job may be RUNNING before its TaskManagers are there. */
  async podsReady(): Promise<void> {
    await this.kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app.kubernetes.io/component in (jobmanager,taskmanager)', '--timeout=90s')
  }

  /** A FlinkJob with its state at the S3 server. */
  job(name: string, job: object, spec: { readonly flinkConfiguration?: object; readonly [field: string]: unknown } = {}): object {
    return {
      apiVersion: 'millrace.dev/v1alpha1',
      kind: 'FlinkJob',
      metadata: { name, namespace: JOBS },
      spec: { ...spec, flinkConfiguration: { ...this.configuration(), ...spec.flinkConfiguration }, job: { upgradeMode: 'savepoint', ...job } },
    }
  }

  configuration(): Readonly<Record<string, string>> {
    return {
      'execution.checkpointing.interval': '1 s',
      'execution.checkpointing.dir': `s3://${BUCKET}/checkpoints`,
      'execution.checkpointing.savepoint-dir': `s3://${BUCKET}/savepoints`,
      's3.endpoint': this.s3.endpoint,
      's3.access-key': ACCESS_KEY,
      's3.secret-key': SECRET_KEY,
      's3.region': 'us-east-1',
    }
  }

  /** Follows the conditions of a FlinkJob: one that was there for a moment only is seen too. */
  conditionsOf(name: string): SeenConditions {
    return new SeenConditions(kubeBinary('kubectl'), [
      ...['--kubeconfig', this.node.kubeconfig, '-n', JOBS, 'get', 'flinkjob', name, '--watch'],
      ...['-o', 'jsonpath={.status.conditions}{"\\n"}'],
    ])
  }

  /** For whoever reads why a test has failed. */
  private async report(): Promise<string> {
    const objects = await this.kubectl('get', 'flinkjobs,flinksessions,flinksnapshots,pods,statefulsets', '-o', 'wide').catch(String)
    const conditions = await this.kubectl('get', 'flinkjobs', '-o', 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{.status}{"\\n"}{end}').catch(
      String,
    )
    const events = await this.kubectl('get', 'events', '--sort-by=.lastTimestamp').catch(String)
    const log = await this.node.kubectl(['-n', SYSTEM, 'logs', 'deployment/millrace-operator', '--tail=60']).catch(String)
    return [objects, conditions, events, log].join('\n\n')
  }
}

/** As kubectl tells them, each change. */
export class SeenConditions implements Disposable {
  private readonly process: ChildProcess
  private told = ''

  constructor(command: string, args: readonly string[]) {
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.told += text
    })
  }

  /** Messages of a condition when it was True. */
  messages(type: string): readonly string[] {
    const all = this.told
      .split('\n')
      .slice(0, -1)
      .filter(Boolean)
      .flatMap(line => JSON.parse(line) as readonly Condition[])
    return [...new Set(all.filter(condition => condition.type === type && condition.status === 'True').map(({ message }) => message))]
  }

  [Symbol.dispose](): void {
    this.process.kill('SIGKILL')
  }
}

export const runs = (generation: number) => ({ lifecycleState: 'STABLE', observedGeneration: generation, jobStatus: { state: 'RUNNING' } })
