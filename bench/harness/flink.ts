import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { benchFolder, cacheFolder } from './cache.ts'
import { Cluster, freePort } from './engine.ts'
import { root } from './millrace.ts'

/**
 * Apache Flink's side: a JobManager and TaskManagers of Flink 2.3 from its own jars, our programs (`bench/flink/*.java`) on the class
 * path of the cluster. They are not in the uploaded jar: a job's class loader would then load, and the JIT compile, them anew for each
 * job, and no run would ever be warm.
 */
export const FLINK_VERSION = '2.3.0'
const lib = join(cacheFolder, `flink-${FLINK_VERSION}/lib`)
const OPENED = [
  'lang',
  'lang.reflect',
  'net',
  'io',
  'nio',
  'text',
  'time',
  'util',
  'util.concurrent',
  'util.concurrent.atomic',
  'util.concurrent.locks',
]

export interface FlinkSetting {
  readonly name: 'flink default' | 'flink tuned'
  readonly heapMb: number
  readonly managedMb: number
  readonly networkMb: number
  readonly jvmFlags: readonly string[]
  readonly configuration: Readonly<Record<string, string>>
}

/** The sizes of a TaskManager as Flink ships it (1728 MB in all), and no option set. */
export const defaultSetting: FlinkSetting = {
  name: 'flink default',
  heapMb: 384,
  managedMb: 512,
  networkMb: 128,
  jvmFlags: [],
  configuration: {},
}

/** What somebody sets who wants throughput: no copies between operators, batches, two-phase aggregates, room, the throughput collector. */
export const tunedSetting: FlinkSetting = {
  name: 'flink tuned',
  heapMb: 2048,
  managedMb: 1024,
  networkMb: 256,
  jvmFlags: ['-XX:+UseParallelGC'],
  configuration: {
    'pipeline.object-reuse': 'true',
    'table.exec.mini-batch.enabled': 'true',
    'table.exec.mini-batch.allow-latency': '2 s',
    'table.exec.mini-batch.size': '50000',
    'table.optimizer.agg-phase-strategy': 'TWO_PHASE',
    'table.optimizer.distinct-agg.split.enabled': 'true',
  },
}

export function requireFlink(): void {
  if (!existsSync(join(lib, `flink-dist-${FLINK_VERSION}.jar`))) {
    process.stderr.write('Apache Flink is not in the cache yet\n')
    execFileSync('bash', [join(root, 'test/parts/install-flink.sh')], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
}

/** Compiles bench/flink into the cache; again when a source is newer. Answers the folder of the classes. */
export function compilePrograms(): string {
  const sources = readdirSync(join(root, 'bench/flink'))
    .filter(name => name.endsWith('.java'))
    .map(name => join(root, 'bench/flink', name))
  const classes = join(benchFolder, 'flink-classes')
  const stamp = join(classes, '.compiled')
  if (existsSync(stamp) && sources.every(source => statSync(source).mtimeMs < statSync(stamp).mtimeMs)) return classes
  rmSync(classes, { recursive: true, force: true })
  mkdirSync(classes, { recursive: true })
  execFileSync('javac', ['-nowarn', '-Xlint:-options', '-XDsuppressNotes', '--release', '17', '-cp', join(lib, '*'), '-d', classes, ...sources], {
    stdio: 'inherit',
  })
  writeFileSync(stamp, '')
  return classes
}

export function javaCommand(main: string, flags: readonly string[], args: readonly string[]): readonly string[] {
  const opens = OPENED.flatMap(name => ['--add-opens', `java.base/java.${name}=ALL-UNNAMED`])
  return ['java', ...flags, ...opens, '-cp', `${join(lib, '*')}:${compilePrograms()}`, main, ...args]
}

export interface FlinkLayout {
  readonly taskManagers?: number
  readonly slots: number
  readonly configuration?: Readonly<Record<string, string>>
}

export async function startFlink(setting: FlinkSetting, layout: FlinkLayout, folder: string): Promise<Cluster> {
  const [restPort, rpcPort] = [await freePort(), await freePort()]
  const conf = join(folder, 'conf')
  mkdirSync(conf, { recursive: true })
  const configuration: Record<string, string> = {
    'jobmanager.rpc.address': '127.0.0.1',
    'jobmanager.rpc.port': String(rpcPort),
    'jobmanager.bind-host': '127.0.0.1',
    'taskmanager.bind-host': '127.0.0.1',
    'taskmanager.host': '127.0.0.1',
    'rest.address': '127.0.0.1',
    'rest.bind-address': '127.0.0.1',
    'rest.port': String(restPort),
    'taskmanager.numberOfTaskSlots': String(layout.slots),
    'jobmanager.memory.process.size': '1600m',
    'taskmanager.memory.process.size': `${setting.heapMb + setting.managedMb + setting.networkMb + 704}m`,
    'web.upload.dir': join(folder, 'upload'),
    'io.tmp.dirs': join(folder, 'tmp'),
    ...setting.configuration,
    ...layout.configuration,
  }
  mkdirSync(configuration['io.tmp.dirs'] as string, { recursive: true })
  const lines = Object.entries(configuration).map(([key, value]) => `${key}: ${value}`)
  writeFileSync(join(conf, 'config.yaml'), `${lines.join('\n')}\n`)
  // The start scripts of Flink's distribution work these out; the jars come without.
  const memory = {
    'taskmanager.cpu.cores': `${layout.slots}.0`,
    'taskmanager.memory.task.heap.size': `${setting.heapMb}m`,
    'taskmanager.memory.framework.heap.size': '128m',
    'taskmanager.memory.managed.size': `${setting.managedMb}m`,
    'taskmanager.memory.network.min': `${setting.networkMb}m`,
    'taskmanager.memory.network.max': `${setting.networkMb}m`,
    'taskmanager.memory.framework.off-heap.size': '128m',
    'taskmanager.memory.task.off-heap.size': '0m',
    'taskmanager.memory.jvm-metaspace.size': '256m',
    'taskmanager.memory.jvm-overhead.min': '192m',
    'taskmanager.memory.jvm-overhead.max': '192m',
  }
  const properties = Object.entries(memory).flatMap(([key, value]) => ['-D', `${key}=${value}`])
  const jobManagerFlags = ['-Xmx1024m', '-Xms1024m', '-XX:MaxMetaspaceSize=256m', ...setting.jvmFlags]
  const heap = setting.heapMb + 128
  const taskManagerFlags = [
    `-Xmx${heap}m`,
    `-Xms${heap}m`,
    `-XX:MaxDirectMemorySize=${128 + setting.networkMb}m`,
    '-XX:MaxMetaspaceSize=256m',
    ...setting.jvmFlags,
  ]
  const environment = { FLINK_CONF_DIR: conf }
  const taskManagers = Array.from({ length: layout.taskManagers ?? 1 }, (_, index) => ({
    id: `taskmanager-${index}`,
    command: javaCommand('org.apache.flink.runtime.taskexecutor.TaskManagerRunner', taskManagerFlags, [
      '--configDir',
      conf,
      ...properties,
      '-D',
      `taskmanager.resource-id=tm-${index}`,
    ]),
    environment,
  }))
  return Cluster.start({
    name: setting.name,
    folder,
    restPort,
    taskManagers: taskManagers.length,
    commands: [
      {
        id: 'jobmanager',
        command: javaCommand('org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint', jobManagerFlags, ['--configDir', conf]),
        environment,
      },
      ...taskManagers,
    ],
  })
}

/** A jar that names nothing: the programs are on the cluster's class path. */
export async function uploadPrograms(cluster: Cluster): Promise<string> {
  mkdirSync(benchFolder, { recursive: true })
  const jar = join(benchFolder, 'programs.jar')
  if (!existsSync(jar)) {
    const manifest = join(benchFolder, 'manifest.txt')
    writeFileSync(manifest, 'Created-By: millrace bench\n')
    execFileSync('jar', ['--create', '--file', jar, '--manifest', manifest])
  }
  return cluster.upload('programs.jar', readFileSync(jar))
}
