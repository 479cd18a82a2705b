import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleModule } from '../../bin/bundle-module.ts'
import { Configuration } from '../../runtime/common/config.ts'
import { benchFolder } from './cache.ts'
import { Cluster, freePort } from './engine.ts'

/** Our side, as it ships: dist/ on the Node that comes with the package. For experiments `BENCH_ENTRY` runs another build, `BENCH_NODE_FLAGS` adds flags. */
export const root = new URL('../..', import.meta.url).pathname
export const node = join(root, 'node_modules/node/bin/node')
export const entry = process.env['BENCH_ENTRY'] ?? join(root, 'dist/millrace.js')
const flags = (process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter(Boolean)
export const launcher: readonly string[] = [node, ...flags, '--disable-warning=ExperimentalWarning', entry]
/** Such figures are not those of the product. */
export const isExperiment = process.env['BENCH_ENTRY'] !== undefined || flags.length > 0

export interface MillraceLayout {
  readonly name?: string
  readonly taskManagers: number
  readonly slots: number
  readonly configuration?: Readonly<Record<string, string>>
}

export async function startMillrace(layout: MillraceLayout, folder: string): Promise<Cluster> {
  const [restPort, rpcPort] = [await freePort(), await freePort()]
  const properties = Object.entries({ 'rest.port': String(restPort), 'jobmanager.rpc.port': String(rpcPort), ...layout.configuration })
  const options = properties.flatMap(([key, value]) => ['-D', `${key}=${value}`])
  const environment = { MILLRACE_DIR: join(folder, 'millrace') }
  const taskManagers = Array.from({ length: layout.taskManagers }, (_, index) => ({
    id: `taskmanager-${index}`,
    command: [
      ...launcher,
      'taskmanager',
      ...options,
      '-D',
      `taskmanager.numberOfTaskSlots=${layout.slots}`,
      '-D',
      `taskmanager.resource-id=tm-${index}`,
    ],
    environment,
  }))
  return Cluster.start({
    name: layout.name ?? 'millrace',
    folder,
    restPort,
    taskManagers: layout.taskManagers,
    commands: [{ id: 'jobmanager', command: [...launcher, 'jobmanager', ...options], environment }, ...taskManagers],
  })
}

/** Bundles bench/jobs/<name>.ts once and uploads it. */
export async function uploadJob(cluster: Cluster, name: string): Promise<string> {
  const bundle = await bundleModule({
    modulePath: join(root, 'bench/jobs', `${name}.ts`),
    entry: 'default',
    configuration: Configuration.fromObject({}),
  })
  return cluster.upload(`${bundle.name}.mjs`, bundle.bytes)
}

/** Sources that are newer than the build: figures of an old build must not pass for those of the sources. */
export async function staleBuild(): Promise<string | undefined> {
  const built = join(root, 'dist/.built')
  if (!existsSync(entry)) return `${entry} is missing: run make build`
  if (process.env['BENCH_ENTRY'] !== undefined || !existsSync(built)) return undefined
  const { mtimeMs } = statSync(built)
  for (const folder of ['bin', 'runtime']) {
    for (const name of await readdir(join(root, folder), { recursive: true })) {
      if (name.endsWith('.ts') && !name.endsWith('.test.ts') && statSync(join(root, folder, name)).mtimeMs > mtimeMs)
        return `${folder}/${name} is newer than dist/: run make build`
    }
  }
  return undefined
}

export function runFolder(name: string): string {
  return join(benchFolder, 'run', `${process.pid}-${name}`)
}

/** Of benches that were killed. */
export function removeAbandonedFolders(): void {
  const parent = join(benchFolder, 'run')
  if (!existsSync(parent)) return
  for (const name of readdirSync(parent)) if (!existsSync(`/proc/${name.split('-')[0]}`)) rmSync(join(parent, name), { recursive: true, force: true })
}
