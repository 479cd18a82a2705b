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

  test.each([[['cancel']], [['cancel', 'xyz']], [['list', '--foo']], [['run', '-p']]])('bad arguments are answered in the same words: %j', args => {
    expect(millrace(...args)).toBe(flink(...args))
  })
})
