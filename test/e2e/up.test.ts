import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FlinkJob } from '../../operator/api/flink-job.ts'

/** `millrace up` as people run it: the shell command, real processes, real signals. */
const root = resolve(import.meta.dirname, '../..')
const millrace = join(root, 'bin/millrace')
let directory: string
const started: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-up-'))
})

afterEach(async () => {
  for (const process of started.splice(0)) if (process.exitCode === null && process.signalCode === null) process.kill('SIGKILL')
  await expect.poll(() => processesOf(directory), { timeout: 30_000 }).toEqual([])
  rmSync(directory, { recursive: true, force: true })
})

/** Every process of a test, planners and bundlers too, has the test's directory in its environment. */
function processesOf(path: string): string[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        return environment.includes(`MILLRACE_DIR=${path}`) ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`] : []
      } catch {
        return []
      }
    })
}

function clusterProcesses(path: string): string[] {
  return processesOf(path).filter(line => line.includes('--end-with-stdin'))
}

function run(...args: string[]) {
  const child = spawn(millrace, ['up', ...args], { cwd: root, env: { ...process.env, MILLRACE_DIR: directory }, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
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
    if (!pattern.test(read())) throw new Error(`${pattern} was not seen.\nstdout: ${stdout.slice(-2_000)}\nstderr: ${stderr}\nlogs: ${logs()}`)
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

/** Of all clusters of the test. */
function logs(): string {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.log'))
    .map(name => `\n${name}:\n${readFileSync(join(directory, name), 'utf8').slice(-3_000)}`)
    .join('')
}

function statusOf(name: string): FlinkJob['status'] {
  return (JSON.parse(readFileSync(join(directory, 'up/default', name, 'flinkjob.json'), 'utf8')) as FlinkJob).status
}

function manifest(name: string, script: string, spec = ''): string {
  const path = join(directory, `${name}.yaml`)
  const block = script.trim().replaceAll(/^/gm, '      ')
  writeFileSync(
    path,
    `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: ${name}\nspec:\n  job:\n    script: |\n${block}\n${spec}`,
  )
  return path
}

/** Prints its rows for ever, ten a second. */
const endless = `
import { DataGeneratorSource, type StreamExecutionEnvironment, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(index => 'row ' + index, { rowsPerSecond: 10 }), WatermarkStrategy.noWatermarks(), 'rows').print()
}`

test('the example with --once prints the counts that the shell tools count, exits 0 and leaves no process', async () => {
  const { exit, stdout, stderr } = run('--once', 'examples/word-count.yaml')
  expect(await exit, stderr()).toBe(0)
  expect(processesOf(directory)).toEqual([])
  const texts = readdirSync('/usr/share').includes('common-licenses') ? '/usr/share/common-licenses/*' : 'LICENSE'
  const expected = execFileSync('sh', ['-c', `cat ${texts} | LC_ALL=C tr -s '[:space:]' '\\n' | grep -v '^$' | LC_ALL=C sort | uniq -c`], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  const counts = new Map(
    expected
      .trim()
      .split('\n')
      .map(line => [line.trim().slice(line.trim().indexOf(' ') + 1), Number(line.trim().split(' ')[0])]),
  )
  const printed = stdout()
    .split('\n')
    .filter(line => /^\S+ \d+$/.test(line))
    .map(line => line.split(' '))
  expect(printed.length).toBe(counts.size)
  expect(new Map(printed.map(([word, count]) => [word, Number(count)]))).toEqual(counts)
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  expect(stdout()).toContain(`${total.toLocaleString('en')} words, ${counts.size.toLocaleString('en')} different\n   1. the `)
  expect(stderr()).toMatch(/UPGRADING\n.*web address http:\/\/127\.0\.0\.1:\d+\n.*RUNNING\n.*FINISHED\n.*finished after \d+\.\d s\n$/s)
  expect(statusOf('word-count')).toMatchObject({ lifecycleState: 'STABLE', jobManagerDeploymentStatus: 'MISSING', jobStatus: { state: 'FINISHED' } })
})

test('the example goes on with a live top ten until Ctrl-C, which ends the job and every process in order', async () => {
  const { child, exit, stdout, stderr, prints } = run('examples/word-count.yaml')
  await prints(/different\n {3}1\. the [^\f]*different\n {3}1\. the [^\f]*different\n {3}1\. the /s)
  const address = /web address (\S+)/.exec(stderr())?.[1]
  const overview = (await (await fetch(`${address}/v1/jobs/overview`)).json()) as { jobs: { name: string; state: string }[] }
  expect(overview.jobs).toMatchObject([{ name: 'word-count', state: 'RUNNING' }])
  expect(clusterProcesses(directory).length).toBe(2)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(processesOf(directory)).toEqual([])
  expect(stderr()).toMatch(/stopping; press Ctrl-C again to kill\n.*DELETING\n.*CANCELED\n.*DELETED\n.*stopped\n$/s)
  expect(statusOf('word-count')).toMatchObject({ lifecycleState: 'DELETED', jobStatus: { state: 'CANCELED' } })
  const totals = [...stdout().matchAll(/^([\d,]+) words/gm)].map(([, total]) => Number(total?.replaceAll(',', '')))
  expect(totals).toEqual(totals.toSorted((a, b) => a - b))
})

test('a TaskManager that is killed is replaced, and the job goes on in it from its newest checkpoint, as the manifest says', async () => {
  const checkpoints = join(directory, 'checkpoints')
  const settings = {
    'execution.checkpointing.interval': '200 ms',
    'execution.checkpointing.dir': `file://${checkpoints}`,
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '5',
    'restart-strategy.fixed-delay.delay': '100 ms',
  }
  const lines = Object.entries(settings).map(([key, value]) => `    ${key}: ${JSON.stringify(value)}\n`)
  const path = manifest('survives', endless, `  flinkConfiguration:\n${lines.join('')}`)
  const { child, exit, prints, stdout, stderr, says } = run(path)
  await prints(/row 3\n/)
  for (
    const end = Date.now() + 20_000;
    !(existsSync(checkpoints) && readdirSync(checkpoints, { recursive: true }).some(name => String(name).endsWith('_metadata')));
  ) {
    expect(Date.now()).toBeLessThan(end)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const victim = clusterProcesses(directory).find(line => line.includes(' taskmanager '))
  const seen = stdout().split('\n').length
  process.kill(Number(victim?.split(' ')[0]), 'SIGKILL')
  await says(/taskmanager-0 .*SIGKILL/)
  await prints(new RegExp(`row ${seen + 20}\n`))
  // From where the newest checkpoint stood, not from the beginning.
  expect(stdout().match(/row 0\n/g)).toHaveLength(1)
  expect(statusOf('survives')).toMatchObject({ lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } })
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(processesOf(directory)).toEqual([])
})

test('an edited manifest and a second up are refused while the job goes on; a killed up is recovered by the next', async () => {
  const path = manifest('edited', endless)
  const first = run(path)
  await first.prints(/row 3\n/)
  const { jobId } = statusOf('edited')?.jobStatus ?? {}

  const second = run(path)
  expect(await second.exit).toBe(1)
  expect(second.stderr()).toMatch(new RegExp(`^FlinkJob edited is up already, run by process ${first.child.pid}: `))

  manifest('edited', endless, '    paralelism: 2\n')
  await first.says(
    /the edited manifest is wrong, the job goes on as it was:\n\S+edited\.yaml:\d+:5: spec\.job\.paralelism: unknown field, did you mean parallelism\?\n/,
  )
  manifest('edited', endless, '    parallelism: 2\n')
  await first.says(/editing a running FlinkJob is not supported yet: stop it and start it again; it goes on as it was\n/)
  const rows = first.stdout().split('\n').length
  await first.prints(new RegExp(`row ${rows + 3}\n`))
  expect(statusOf('edited')).toMatchObject({ observedGeneration: 1, lifecycleState: 'STABLE', jobStatus: { jobId, state: 'RUNNING' } })

  first.child.kill('SIGKILL')
  expect(await first.exit).toBe('SIGKILL')
  const third = run(path)
  await third.prints(/(\d> )?row 3\n/)
  expect(statusOf('edited')?.jobStatus?.jobId).not.toBe(jobId)
  expect(clusterProcesses(directory).length).toBe(3)
  third.child.kill('SIGTERM')
  expect(await third.exit, third.stderr()).toBe(130)
  expect(processesOf(directory)).toEqual([])
})

test('a job that fails tells operator, position and the line of the manifest, and exits 1', async () => {
  const path = manifest(
    'fails',
    `
export default env => {
  env.fromSequence(1, 100).map(n => {
    if (n === 50) throw new Error('fifty is too much')
    return n
  })
  .name('grumble')
  .print()
}`,
  )
  const { exit, stderr } = run(path)
  expect(await exit).toBe(1)
  expect(stderr()).toMatch(/operator grumble: fifty is too much .*number 50.*\(fails\.yaml:10:\d+\)/)
  expect(statusOf('fails')).toMatchObject({ lifecycleState: 'FAILED', jobManagerDeploymentStatus: 'MISSING', jobStatus: { state: 'FAILED' } })
})

test('a module beside the manifest runs with its arguments, on just enough TaskManagers', async () => {
  writeFileSync(
    join(directory, 'job.ts'),
    `export const main = (env, args) => {
  const words = env.fromElements(...args).map(word => word.toUpperCase()).rebalance()
  words.print()
  words.printToErr('aside')
}`,
  )
  const path = join(directory, 'module.yaml')
  writeFileSync(
    path,
    `apiVersion: millrace.dev/v1alpha1
kind: FlinkJob
metadata: { name: module }
spec:
  flinkConfiguration: { taskmanager.numberOfTaskSlots: 2, rest.port: 0 }
  job: { module: job.ts, entryClass: main, args: [a, b, c], parallelism: 3 }
`,
  )
  const { exit, stdout, stderr } = run(path)
  expect(await exit, stderr()).toBe(0)
  expect(
    stdout()
      .trim()
      .split('\n')
      .map(line => line.replace(/^\d> /, ''))
      .toSorted(),
  ).toEqual(['A', 'B', 'C'])
  expect([...stderr().matchAll(/^aside:\d> (.)$/gm)].map(match => match[1]).toSorted()).toEqual(['A', 'B', 'C'])
  expect(statusOf('module')).toMatchObject({ taskManager: { replicas: 2 } })
})

test('a configured port that is taken is named, and nothing stays behind', async () => {
  const server = createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const { exit, stderr } = run(manifest('port', endless, `  flinkConfiguration: { rest.port: ${port} }\n`))
  expect(await exit).toBe(1)
  expect(stderr()).toMatch(new RegExp(`jobmanager-0 ended with exit code 1;.*${port}`, 's'))
  server.close()
})

test('a second Ctrl-C does not wait for a job that cannot be cancelled', async () => {
  const { child, exit, says, prints } = run(
    manifest('stuck', `export default env => { env.fromElements('in').map(row => { console.log('stuck'); for (;;); return row }).print() }`),
  )
  await prints(/stuck\n/)
  child.kill('SIGINT')
  await says(/DELETING/)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
  await expect.poll(() => processesOf(directory), { timeout: 5_000 }).toEqual([])
})

test('Ctrl-C does not wait for a program that never finishes building its graph', async () => {
  const { child, exit, says, stderr } = run(manifest('planless', 'export default () => { for (;;); }'))
  await says(/CREATED\n/)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(processesOf(directory)).toEqual([])
})

test('a wrong manifest is answered with every problem and its place', async () => {
  const path = join(directory, 'wrong.yaml')
  writeFileSync(
    path,
    'apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: wrong\nspec:\n  job:\n    modul: job.ts\n    parallelism: two\n',
  )
  const { exit, stdout, stderr } = run(path)
  expect(await exit).toBe(1)
  expect(stdout()).toBe('')
  expect(stderr()).toBe(`${path}:7:5: spec.job.modul: unknown field, did you mean module?
${path}:7:5: spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef
${path}:8:18: spec.job.parallelism: expected a whole number from 1, got "two"
`)
})
