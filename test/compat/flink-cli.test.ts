import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/**
 * Apache Flink's own command line, unchanged, against our JobManager; and its words beside ours. Flink prints what the answers of our REST
 * server hold, so that a field that it reads otherwise than we write it shows.
 */
const lib = join(process.env['MILLRACE_CACHE'] ?? join(homedir(), '.cache/millrace'), 'flink-2.3.0/lib')
const hasFlink = existsSync(lib) && readdirSync(lib).some(name => name.startsWith('flink-dist')) && spawnSync('java', ['-version']).status === 0
const launcher = new URL('../../bin/millrace', import.meta.url).pathname
const directory = mkdtempSync(join(tmpdir(), 'millrace-flink-cli-'))
const job = join(directory, 'forever.ts')
let address = ''

function run(command: string, args: readonly string[]): string {
  const env = { ...process.env, MILLRACE_DIR: directory, FLINK_CONF_DIR: directory }
  const { stdout } = spawnSync(command, args, { cwd: directory, env, encoding: 'utf8', timeout: 60_000 })
  return stdout
}
const millrace = (...args: string[]) => run(launcher, args)
const flink = (...args: string[]) => run('java', ['-cp', `${lib}/*`, '-Dlog4j2.level=OFF', 'org.apache.flink.client.cli.CliFrontend', ...args])

test.runIf(process.env['CI'] === 'true')('Apache Flink and Java are here', () => expect(hasFlink).toBe(true))

/** All of its tasks: before that Flink answers that not all required tasks are running. */
function isRunning(jobId: string): boolean {
  const { webAddress } = JSON.parse(readFileSync(join(directory, 'run/jobmanager-0.json'), 'utf8')) as { webAddress: string }
  const { stdout } = spawnSync('curl', ['-s', `${webAddress}/jobs/${jobId}`], { encoding: 'utf8' })
  return (JSON.parse(stdout) as { vertices: { status: string }[] }).vertices.every(({ status }) => status === 'RUNNING')
}

describe.runIf(hasFlink)("Apache Flink's command line", () => {
  beforeAll(() => {
    writeFileSync(join(directory, 'config.yaml'), '{}')
    writeFileSync(job, 'export default env => { env.fromSequence(1, 1e15).filter(x => Number(x) < 0).print() }')
    execFileSync(launcher, ['start-cluster', '--slots', '2', '-D', 'rest.port=0', '-D', 'jobmanager.rpc.port=0'], { env: { ...process.env, MILLRACE_DIR: directory } })
    const record = JSON.parse(readFileSync(join(directory, 'run/jobmanager-0.json'), 'utf8')) as { webAddress: string }
    address = new URL(record.webAddress).host
  })
  afterAll(() => void millrace('stop-cluster'))

  test('lists our jobs and cancels one, and prints what ours prints', () => {
    const submitted = millrace('run', '-d', job)
    const jobId = /JobID ([0-9a-f]{32})/.exec(submitted)?.[1] ?? ''
    expect(millrace('list')).toContain(`: ${jobId} : forever (RUNNING)`)
    expect(flink('list', '-m', address)).toBe(millrace('list'))
    expect(flink('cancel', '-m', address, jobId)).toBe(`Cancelling job ${jobId}.\nCancelled job ${jobId}.\n`)
    while (millrace('list', '-a').includes('(CANCELLING)'));
    expect(flink('list', '-a', '-m', address)).toBe(millrace('list', '-a'))
    expect(millrace('list', '-a')).toContain(`: ${jobId} : forever (CANCELED)`)
  })

  test('takes savepoints and checkpoints of our jobs, stops and cancels them behind one, and disposes of it, as ours does', () => {
    const start = () => {
      const jobId = /JobID ([0-9a-f]{32})/.exec(millrace('run', '-d', job))?.[1] ?? ''
      while (!millrace('list').includes(`: ${jobId} : forever (RUNNING)`) || !isRunning(jobId));
      return jobId
    }
    const savepoints = join(directory, 'savepoints')
    // What differs from one savepoint to the next, and from one checkpoint to the next.
    const masked = (text: string) => text.replace(/savepoint-[0-9a-f]{6}-[0-9a-f]{12}/g, 'savepoint-x').replace(/Checkpoint(\(FULL\))? \d+/, 'Checkpoint$1 n')
    const first = start()
    for (const args of [
      ['savepoint', first, savepoints],
      ['checkpoint', first],
      ['checkpoint', '-full', first],
    ])
      expect(masked(flink(...args.slice(0, 1), '-m', address, ...args.slice(1)))).toBe(masked(millrace(...args)))
    const stopped = flink('stop', '-m', address, '-p', savepoints, first)
    const second = start()
    expect(masked(stopped).replaceAll(first, second)).toBe(masked(millrace('stop', '-p', savepoints, second)))
    expect(millrace('list', '-a')).toContain(`: ${first} : forever (FINISHED)`)
    const third = start()
    const cancelled = flink('cancel', '-m', address, '-s', savepoints, third)
    const fourth = start()
    expect(masked(cancelled).replaceAll(third, fourth)).toBe(masked(millrace('cancel', '-s', savepoints, fourth)))
    const path = /Savepoint stored in (\S+)\.$/m.exec(cancelled)?.[1] ?? ''
    expect(flink('savepoint', '-m', address, '-d', path)).toBe(`Disposing savepoint '${path}'.\nWaiting for response...\nSavepoint '${path}' disposed.\n`)
    const fifth = start()
    expect(flink('stop', '-m', address, '-d', '-p', savepoints, fifth)).toMatch(/^Draining job .*\n.*\n.*\nSavepoint completed\. Path: file:\/\/\S+\n$/)
  })

  test.each([[['cancel']], [['cancel', 'xyz']], [['list', '--foo']], [['run', '-p']], [['savepoint']], [['stop']], [['checkpoint']]])('bad arguments are answered in the same words: %j', args => {
    expect(millrace(...args)).toBe(flink(...args))
  })
})
