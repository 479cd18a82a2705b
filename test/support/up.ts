import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'
import type { KubeObject } from '../../operator/kube/object-api.ts'

/** `millrace up` as people run it: the shell command, real processes, real signals, a directory of its own. */
export const root = resolve(import.meta.dirname, '../..')

/** Each with its id and command line: those that have the directory in their environment. */
export function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        const isOurs = environment.includes(`MILLRACE_DIR=${directory}`)
        return isOurs ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`] : []
      } catch {
        return []
      }
    })
}

export class UpHome {
  readonly directory = mkdtempSync(join(tmpdir(), 'millrace-up-'))
  private readonly started: ChildProcess[] = []

  async close(): Promise<void> {
    for (const process of this.started) if (process.exitCode === null && process.signalCode === null) process.kill('SIGKILL')
    await expect.poll(() => this.processes(), { timeout: 30_000 }).toEqual([])
    rmSync(this.directory, { recursive: true, force: true })
  }

  run(...args: string[]) {
    const child = spawn(join(root, 'bin/millrace'), ['up', ...args], {
      cwd: root,
      env: { ...process.env, MILLRACE_DIR: this.directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.started.push(child)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const seen = async (read: () => string, pattern: RegExp) => {
      const over = () => child.exitCode !== null || child.signalCode !== null
      await expect
        .poll(() => pattern.test(read()) || over(), { timeout: 60_000 })
        .toBe(true)
        .catch(() => {})
      if (!pattern.test(read())) throw new Error(`${pattern} was not seen.\nstdout: ${stdout.slice(-2_000)}\nstderr: ${stderr}\nlogs: ${this.logs()}`)
    }
    const exit = new Promise<number | string | null>(done => child.on('close', (code, signal) => done(code ?? signal)))
    return {
      child,
      exit,
      stdout: () => stdout,
      stderr: () => stderr,
      says: (pattern: RegExp) => seen(() => stderr, pattern),
      prints: (pattern: RegExp) => seen(() => stdout, pattern),
    }
  }

  /** Another command beside it. Answers what it prints; rejects when it fails. */
  async millrace(...args: string[]): Promise<string> {
    const env = { ...process.env, MILLRACE_DIR: this.directory }
    const { stdout, stderr } = await promisify(execFile)(join(root, 'bin/millrace'), args, { cwd: root, env })
    return `${stdout}${stderr}`
  }

  /** Every process of a test, planners and bundlers too, has the test's directory in its environment. */
  processes(): string[] {
    return processesOf(this.directory)
  }

  clusterProcesses(): string[] {
    return this.processes().filter(line => line.includes('--end-with-stdin'))
  }

  status(name: string): FlinkJob['status'] {
    return this.object<FlinkJob>('flinkjobs', name)?.status
  }

  /** As it is stored; undefined = it is not there. */
  object<T = KubeObject>(plural: string, name: string): T | undefined {
    const path = join(this.directory, 'objects', plural, 'default', `${name}.json`)
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined
  }

  /** `spec` follows the script: lines with their indentation. */
  manifest(name: string, script: string, spec = ''): string {
    const path = join(this.directory, `${name}.yaml`)
    const block = script.trim().replaceAll(/^/gm, '      ')
    writeFileSync(
      path,
      `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: ${name}\nspec:\n  job:\n    script: |\n${block}\n${spec}`,
    )
    return path
  }

  /** Of all clusters of the test. */
  private logs(): string {
    return readdirSync(this.directory, { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.log'))
      .map(name => `\n${name}:\n${readFileSync(join(this.directory, name), 'utf8').slice(-3_000)}`)
      .join('')
  }
}

/** A program that counts numbers, ten of them a second, over all keys and whatever the parallelism is: number and count differ by one while its state is kept. */
export const counting = (prefix: string, type = 'INT', state = 'count') => `
import { DataGeneratorSource, type StreamExecutionEnvironment, Types, ValueStateDescriptor, WatermarkStrategy } from 'millrace'
class Count {
  readonly count = new ValueStateDescriptor('${state}', Types.${type})
  open(context) { this.state = context.getState(this.count) }
  processElement(n, _context, out) {
    const count = Number(this.state.value() ?? 0) + 1
    this.state.update(${type === 'STRING' ? 'String(count)' : 'count'})
    out.collect('${prefix} ' + n + ' ' + count)
  }
}
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .keyBy(() => 1).process(new Count()).uid('count').print()
}`

/** Its rows with a prefix (a pattern), in the order in which they were printed. */
export function counted(text: string, prefix: string): readonly (readonly [number: number, count: number])[] {
  return [...text.matchAll(new RegExp(`^(?:\\d+> )?(?:${prefix}) (\\d+) (\\d+)$`, 'gm'))].map(([, n, count]) => [Number(n), Number(count)])
}
