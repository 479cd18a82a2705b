import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { KafkaBroker } from '../support/kafka-broker.ts'
import { cacheFolder, helmBinary, kubeBinary } from '../support/kube-binaries.ts'
import { startKubernetesNode } from '../support/kubernetes-node.ts'
import { ACCESS_KEY, S3Server, SECRET_KEY } from '../support/s3-server.ts'

/**
 * `make cluster-up` and `make cluster-down`: a Kubernetes cluster of one node on this machine, with a Kafka broker and an S3 server that pods reach. `up` leaves a process that holds all of it
 * (`run`), says where it is, and ends; images that `make image` has built are on it; `down` tells that process to end and waits until nothing is left.
 */
const RECORD = cacheFolder('cluster.json')
/** The same for every cluster, so that it can stand in a text. */
const KUBECONFIG = cacheFolder('kubeconfig')
const LOG = cacheFolder('cluster.log')
const BUCKET = 'millrace'
const DOWN_MS = 60_000

interface ClusterRecord {
  readonly pid: number
  readonly kafka: string
  readonly s3: string
}

const commands: Readonly<Record<string, () => Promise<number>>> = { up, down, run }
const command = commands[process.argv[2] ?? '']
if (command === undefined) {
  console.error('expected up, down or run')
  process.exitCode = 2
} else process.exitCode = await command()

async function up(): Promise<number> {
  const known = record()
  if (known !== undefined) {
    tell(known)
    return 0
  }
  mkdirSync(dirname(LOG), { recursive: true })
  const log = openSync(LOG, 'w')
  const child = spawn(process.execPath, [import.meta.filename, 'run'], { detached: true, stdio: ['ignore', log, log, 'ipc'] })
  child.on('message', line => console.log(line))
  const ended = once(child, 'exit').then(() => 'ended' as const)
  const ready = once(child, 'disconnect').then(() => 'ready' as const)
  await Promise.race([ended, ready])
  const started = record()
  if (started === undefined) {
    console.error(readFileSync(LOG, 'utf8').trimEnd())
    return 1
  }
  child.unref()
  tell(started)
  return 0
}

async function down(): Promise<number> {
  const known = record()
  if (known === undefined) {
    console.log('no cluster is up')
    return 0
  }
  process.kill(known.pid, 'SIGTERM')
  for (const endMs = Date.now() + DOWN_MS; isOurs(known.pid); await new Promise(resolve => setTimeout(resolve, 100)))
    if (Date.now() > endMs) {
      console.error(`process ${known.pid} has not ended within ${DOWN_MS / 1000} s; ${LOG} may say why`)
      return 1
    }
  console.log('the cluster is gone')
  return 0
}

async function run(): Promise<number> {
  const say = (line: string) => process.send?.(line)
  const end = new Promise<void>(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve())
  })
  await using node = await startKubernetesNode(say)
  for (const archive of archives()) {
    say(`bringing ${basename(archive)}`)
    node.importImage(archive)
  }
  say('starting Kafka')
  const kafka = await KafkaBroker.start(node.outside)
  say('starting S3')
  let s3: S3Server | undefined
  try {
    s3 = await S3Server.start(node.outside)
    s3.createBucket(BUCKET)
    copyFileSync(node.kubeconfig, KUBECONFIG)
    const started: ClusterRecord = { pid: process.pid, kafka: kafka.bootstrapServers, s3: s3.endpoint }
    writeFileSync(RECORD, JSON.stringify(started), { mode: 0o600 })
    // Who started us need not wait any longer.
    process.disconnect?.()
    await end
  } finally {
    for (const path of [RECORD, KUBECONFIG]) rmSync(path, { force: true })
    await s3?.stop()
    await kafka.close()
  }
  return 0
}

/** What `make image` has built; without, pods of Millrace have no image there. */
function archives(): readonly string[] {
  const folder = join(import.meta.dirname, '..', '..', 'dist', 'images')
  return existsSync(folder)
    ? readdirSync(folder)
        .filter(name => name.endsWith('.tar'))
        .map(name => join(folder, name))
    : []
}

/** Of the cluster that runs. */
function record(): ClusterRecord | undefined {
  if (!existsSync(RECORD)) return undefined
  const known = JSON.parse(readFileSync(RECORD, 'utf8')) as ClusterRecord
  return isOurs(known.pid) ? known : undefined
}

/** The number may be somebody else's by now. */
function isOurs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(import.meta.filename)
  } catch {
    return false
  }
}

function tell({ kafka, s3 }: ClusterRecord): void {
  console.log(`
  export KUBECONFIG=${KUBECONFIG}
  export PATH=${dirname(kubeBinary('kubectl'))}:${dirname(helmBinary())}:$PATH    # where there is no kubectl or helm

Kafka for pods and for this machine: ${kafka}
S3 for both: ${s3}, bucket ${BUCKET}, access key ${ACCESS_KEY}, secret key ${SECRET_KEY}

make cluster-down removes all of it.`)
}
