import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, UpHome } from '../support/up.ts'

let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

/** Prints its rows for ever, ten a second. */
const endless = `
import { DataGeneratorSource, type StreamExecutionEnvironment, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(index => 'row ' + index, { rowsPerSecond: 10 }), WatermarkStrategy.noWatermarks(), 'rows').print()
}`

test('the example with --once prints the counts that the shell tools count, exits 0 and leaves no process', async () => {
  const { exit, stdout, stderr } = home.run('--once', 'examples/word-count.yaml')
  expect(await exit, stderr()).toBe(0)
  expect(home.processes()).toEqual([])
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
  expect(home.status('word-count')).toMatchObject({
    lifecycleState: 'STABLE',
    jobManagerDeploymentStatus: 'MISSING',
    jobStatus: { state: 'FINISHED' },
  })
})

test('the example goes on with a live top ten until Ctrl-C, which ends the job and every process in order', async () => {
  const { child, exit, stdout, stderr, prints } = home.run('examples/word-count.yaml')
  await prints(/different\n {3}1\. the [^\f]*different\n {3}1\. the [^\f]*different\n {3}1\. the /s)
  const address = /web address (\S+)/.exec(stderr())?.[1]
  const overview = (await (await fetch(`${address}/v1/jobs/overview`)).json()) as { jobs: { name: string; state: string }[] }
  expect(overview.jobs).toMatchObject([{ name: 'word-count', state: 'RUNNING' }])
  expect(home.clusterProcesses().length).toBe(2)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
  expect(stderr()).toMatch(/stopping; press Ctrl-C again to kill\n.*DELETING\n(.*\n)*.*DELETED\n(.*\n)*.*stopped\n$/s)
  expect(home.status('word-count')).toMatchObject({ lifecycleState: 'DELETED', jobStatus: { state: 'SUSPENDED' } })
  const totals = [...stdout().matchAll(/^([\d,]+) words/gm)].map(([, total]) => Number(total?.replaceAll(',', '')))
  expect(totals).toEqual(totals.toSorted((a, b) => a - b))
})

test('a TaskManager that is killed is replaced, and the job goes on in it from its newest checkpoint, as the manifest says', async () => {
  const checkpoints = join(home.directory, 'checkpoints')
  const settings = {
    'execution.checkpointing.interval': '200 ms',
    'execution.checkpointing.dir': `file://${checkpoints}`,
    'restart-strategy.type': 'fixed-delay',
    'restart-strategy.fixed-delay.attempts': '5',
    'restart-strategy.fixed-delay.delay': '100 ms',
  }
  const lines = Object.entries(settings).map(([key, value]) => `    ${key}: ${JSON.stringify(value)}\n`)
  const path = home.manifest('survives', endless, `  flinkConfiguration:\n${lines.join('')}`)
  const { child, exit, prints, stdout, stderr, says } = home.run(path)
  await prints(/row 3\n/)
  for (
    const end = Date.now() + 20_000;
    !(existsSync(checkpoints) && readdirSync(checkpoints, { recursive: true }).some(name => String(name).endsWith('_metadata')));
  ) {
    expect(Date.now()).toBeLessThan(end)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const victim = home.clusterProcesses().find(line => line.includes(' taskmanager '))
  const seen = stdout().split('\n').length
  process.kill(Number(victim?.split(' ')[0]), 'SIGKILL')
  await says(/taskmanager-0 .*SIGKILL/)
  await prints(new RegExp(`row ${seen + 20}\n`))
  // From where the newest checkpoint stood, not from the beginning.
  expect(stdout().match(/row 0\n/g)).toHaveLength(1)
  expect(home.status('survives')).toMatchObject({ lifecycleState: 'STABLE', jobStatus: { state: 'RUNNING' } })
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})

test('a wrong edit and a second up are refused while the job goes on; a killed up is recovered by the next', async () => {
  const path = home.manifest('edited', endless)
  const first = home.run(path)
  await first.prints(/row 3\n/)
  const { jobId } = home.status('edited')?.jobStatus ?? {}

  const second = home.run(path)
  expect(await second.exit).toBe(1)
  expect(second.stderr()).toMatch(new RegExp(`^FlinkJob edited is up already, run by process ${first.child.pid}: `))

  home.manifest('edited', endless, '    paralelism: 2\n')
  await first.says(
    /the edited manifest is wrong, the job goes on as it was:\n\S+edited\.yaml:\d+:5: spec\.job\.paralelism: unknown field, did you mean parallelism\?\n/,
  )
  const rows = first.stdout().split('\n').length
  await first.prints(new RegExp(`row ${rows + 3}\n`))
  expect(home.status('edited')).toMatchObject({ observedGeneration: 1, lifecycleState: 'STABLE', jobStatus: { jobId, state: 'RUNNING' } })

  home.manifest('edited', endless, '    parallelism: 2\n')
  first.child.kill('SIGKILL')
  expect(await first.exit).toBe('SIGKILL')
  const third = home.run(path)
  await third.prints(/(\d> )?row 3\n/)
  expect(home.status('edited')?.jobStatus?.jobId).not.toBe(jobId)
  expect(home.clusterProcesses().length).toBe(3)
  third.child.kill('SIGTERM')
  expect(await third.exit, third.stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})

test('a job that fails tells operator, position and the line of the manifest, and exits 1', async () => {
  const path = home.manifest(
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
  const { exit, stderr } = home.run(path)
  expect(await exit).toBe(1)
  expect(stderr()).toMatch(/operator grumble: fifty is too much .*number 50.*\(fails\.yaml:10:\d+\)/)
  expect(home.status('fails')).toMatchObject({ lifecycleState: 'FAILED', jobManagerDeploymentStatus: 'MISSING', jobStatus: { state: 'FAILED' } })
})

test('a module beside the manifest runs with its arguments, on just enough TaskManagers', async () => {
  writeFileSync(
    join(home.directory, 'job.ts'),
    `export const main = (env, args) => {
  const words = env.fromElements(...args).map(word => word.toUpperCase()).rebalance()
  words.print()
  words.printToErr('aside')
}`,
  )
  const path = join(home.directory, 'module.yaml')
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
  const { exit, stdout, stderr } = home.run(path)
  expect(await exit, stderr()).toBe(0)
  expect(
    stdout()
      .trim()
      .split('\n')
      .map(line => line.replace(/^\d> /, ''))
      .toSorted(),
  ).toEqual(['A', 'B', 'C'])
  expect([...stderr().matchAll(/^aside:\d> (.)$/gm)].map(match => match[1]).toSorted()).toEqual(['A', 'B', 'C'])
  expect(home.status('module')).toMatchObject({ taskManager: { replicas: 2 } })
})

test('a configured port that is taken is named, and nothing stays behind', async () => {
  const server = createServer()
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const { exit, stderr } = home.run(home.manifest('port', endless, `  flinkConfiguration: { rest.port: ${port} }\n`))
  expect(await exit).toBe(1)
  expect(stderr()).toMatch(new RegExp(`jobmanager-0 ended with exit code 1;.*${port}`, 's'))
  server.close()
})

test('a second Ctrl-C does not wait for a job that cannot be cancelled', async () => {
  const { child, exit, says, prints } = home.run(
    home.manifest('stuck', `export default env => { env.fromElements('in').map(row => { console.log('stuck'); for (;;); return row }).print() }`),
  )
  await prints(/stuck\n/)
  child.kill('SIGINT')
  await says(/DELETING/)
  child.kill('SIGINT')
  expect(await exit).toBe(130)
  await expect.poll(() => home.processes(), { timeout: 5_000 }).toEqual([])
})

test('Ctrl-C does not wait for a program that never finishes building its graph', async () => {
  const { child, exit, says, stderr } = home.run(home.manifest('planless', 'export default () => { for (;;); }'))
  await says(/CREATED\n/)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})

test('a wrong manifest is answered with every problem and its place', async () => {
  const path = join(home.directory, 'wrong.yaml')
  writeFileSync(
    path,
    'apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: wrong\nspec:\n  job:\n    modul: job.ts\n    parallelism: two\n',
  )
  const { exit, stdout, stderr } = home.run(path)
  expect(await exit).toBe(1)
  expect(stdout()).toBe('')
  expect(stderr()).toBe(`${path}:7:5: spec.job.modul: unknown field, did you mean module?
${path}:7:5: spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef
${path}:8:18: spec.job.parallelism: expected a whole number from 1 to 32768, got "two"
`)
})
