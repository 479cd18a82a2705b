import { execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert } from '../../runtime/common/assert.ts'

/**
 * Real processes for end-to-end tests: a folder of its own per cluster (`MILLRACE_DIR`), free loopback ports, the command line as a user
 * calls it. `await using cluster = await startCluster(…)` stops everything and checks that no process of the folder is left.
 */
export interface ClusterOptions {
  readonly taskManagers?: number
  readonly slots?: number
  readonly configuration?: Readonly<Record<string, string | number>>
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const root = new URL('../..', import.meta.url).pathname
export const millrace = join(root, 'bin/millrace')

/** Runs the command line to its end. Never throws for an exit code. */
export function runMillrace(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  options: { timeoutMs?: number; cwd?: string; signal?: AbortSignal } = {},
): Promise<CommandResult> {
  return new Promise(resolve => {
    const child = execFile(
      millrace,
      [...args],
      {
        env: { ...process.env, ...environment },
        cwd: options.cwd ?? root,
        timeout: options.timeoutMs ?? 60_000,
        killSignal: 'SIGKILL',
        maxBuffer: 256 * 2 ** 20,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : (child.exitCode ?? null), stdout, stderr }),
    )
  })
}

export class TestFolder implements AsyncDisposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async create(): Promise<TestFolder> {
    return new TestFolder(await mkdtemp(join(tmpdir(), 'millrace-e2e-')))
  }

  async write(name: string, text: string): Promise<string> {
    const path = join(this.path, name)
    await mkdir(join(path, '..'), { recursive: true })
    await writeFile(path, text)
    return path
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}

export class Cluster implements AsyncDisposable {
  readonly folder: TestFolder
  readonly environment: Readonly<Record<string, string>>
  readonly address: string

  constructor(folder: TestFolder, environment: Readonly<Record<string, string>>, address: string) {
    this.folder = folder
    this.environment = environment
    this.address = address
  }

  run(args: readonly string[], options: { timeoutMs?: number } = {}): Promise<CommandResult> {
    return runMillrace(args, this.environment, options)
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.address}${path}`)
    assert(response.ok, `GET ${path} answers ${response.status}`)
    return (await response.json()) as T
  }

  /** Polls REST until `check` answers something; the caller's own deadline is the test's. */
  async until<T>(path: string, check: (answer: never) => T | undefined, timeoutMs = 30_000): Promise<T> {
    const end = Date.now() + timeoutMs
    for (;;) {
      const answer = await this.get<never>(path)
      const found = check(answer)
      if (found !== undefined) return found
      assert(Date.now() < end, `GET ${path} did not come to the expected state: ${JSON.stringify(answer).slice(0, 2000)}`)
      await nextPoll()
    }
  }

  /** What jobs printed, per TaskManager. */
  async stdout(): Promise<Map<string, string>> {
    const folder = join(this.folder.path, 'cluster/log')
    const files = (await readdir(folder)).filter(name => name.endsWith('.out'))
    return new Map(await Promise.all(files.map(async name => [name.replace('.out', ''), await readFile(join(folder, name), 'utf8')] as const)))
  }

  async printed(): Promise<string[]> {
    return [...(await this.stdout()).values()].flatMap(text => (text === '' ? [] : text.trimEnd().split('\n')))
  }

  async log(name: string): Promise<string> {
    return readFile(join(this.folder.path, 'cluster/log', `${name}.log`), 'utf8')
  }

  /** Process ids of this cluster, by what they are: from the pid files' own text in their command lines. */
  processes(): { pid: number; command: string }[] {
    return processesOf(this.folder.path)
  }

  /** A further one, for the place of one that was killed. Its log goes on in the same file. */
  async startJobManager(): Promise<void> {
    const record = this.spawnProcess('jobmanager', 'jobmanager-0', [])
    for (const end = Date.now() + 30_000; !existsSync(record); await nextPoll()) assert(Date.now() < end, 'the jobmanager writes its record')
  }

  /** A JobManager that waits until it may lead. */
  startStandby(id: string): void {
    this.spawnProcess('jobmanager', id, [])
  }

  /** Answers when it is on its way; it registers by itself. */
  startTaskManager(id: string, slots: number, args: readonly string[] = []): void {
    this.spawnProcess('taskmanager', id, ['-D', `taskmanager.numberOfTaskSlots=${slots}`, '-D', `taskmanager.resource-id=${id}`, ...args])
  }

  /** One more, beside the one that is there, with a TaskManager of its own. What it answers knows its address, and ends nothing. */
  async startRival(slots: number): Promise<Cluster> {
    const [restPort, rpcPort] = [await freePort(), await freePort()]
    const record = this.spawnProcess('jobmanager', 'jobmanager-1', ['-D', `rest.port=${restPort}`, '-D', `jobmanager.rpc.port=${rpcPort}`])
    for (const end = Date.now() + 30_000; !existsSync(record); await nextPoll()) assert(Date.now() < end, 'the jobmanager writes its record')
    this.startTaskManager('rival-tm', slots, ['-D', `jobmanager.rpc.port=${rpcPort}`])
    return new Cluster(this.folder, this.environment, `http://127.0.0.1:${restPort}`)
  }

  /** Its record, which is there when it runs. */
  private spawnProcess(kind: 'jobmanager' | 'taskmanager', id: string, args: readonly string[]): string {
    const record = join(this.folder.path, `cluster/run/${id}.json`)
    rmSync(record, { force: true })
    const log = openSync(join(this.folder.path, `cluster/log/${id}.log`), 'a')
    const child = spawn(millrace, [kind, '--record', record, ...args], {
      env: { ...process.env, ...this.environment },
      stdio: ['ignore', log, log],
      detached: true,
    })
    child.unref()
    closeSync(log)
    return record
  }

  pidOf(kind: string): number {
    const found = this.processes().find(({ command }) => command.includes(kind))
    assert(found !== undefined, `a process of kind ${kind} runs`)
    return found.pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.processes()) {
      try {
        process.kill(pid, 'SIGCONT')
      } catch {
        // It has ended meanwhile.
      }
    }
    const stopped = await this.run(['stop-cluster'])
    const left = this.processes()
    for (const { pid } of left) process.kill(pid, 'SIGKILL')
    await this.folder[Symbol.asyncDispose]()
    assert(
      left.length === 0,
      `processes left behind: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')} after: ${stopped.stdout}${stopped.stderr}`,
    )
  }
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const folder = await TestFolder.create()
  const [restPort, rpcPort] = [await freePort(), await freePort()]
  const configuration = { 'rest.port': restPort, 'jobmanager.rpc.port': rpcPort, ...options.configuration }
  await folder.write(
    'conf/config.yaml',
    `${Object.entries(configuration)
      .map(([key, value]) => `${key}: ${value}`)
      .join('\n')}\n`,
  )
  const environment = { MILLRACE_DIR: join(folder.path, 'cluster'), MILLRACE_CONF_DIR: join(folder.path, 'conf') }
  const started = await runMillrace(
    ['start-cluster', '--taskmanagers', String(options.taskManagers ?? 1), '--slots', String(options.slots ?? 2)],
    environment,
  )
  const cluster = new Cluster(folder, environment, `http://127.0.0.1:${restPort}`)
  if (started.code !== 0) {
    await cluster[Symbol.asyncDispose]()
    throw new Error(`start-cluster exited with ${started.code}: ${started.stdout}${started.stderr}`)
  }
  return cluster
}

/** Processes whose environment names `folder`: children, grandchildren and detached ones alike. */
export function processesOf(folder: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const environment = readFileSync(`/proc/${name}/environ`, 'utf8')
        if (!environment.includes(`${folder}/`) || Number(name) === process.pid) return []
        // A zombie has no memory any more; its parent will collect it.
        if (/^State:\s+Z/m.test(readFileSync(`/proc/${name}/status`, 'utf8'))) return []
        return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') }]
      } catch {
        return []
      }
    })
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      assert(address !== null && typeof address === 'object', 'a TCP server has a port')
      server.close(() => resolve(address.port))
    })
  })
}

/** Between two looks at something that only another process can change. */
function nextPoll(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, 20))
}

/** Runs a program with input to its end: independent oracles. */
export function oracle(command: string, input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (bytes: Buffer) => {
      out += bytes.toString('utf8')
    })
    child.on('error', reject)
    child.on('close', code => (code === 0 ? resolve(out) : reject(new Error(`${command} exited with ${code}`))))
    child.stdin.end(input)
  })
}
