import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FlinkSnapshot } from '../../operator/api/flink-snapshot.ts'
import { counted, counting, UpHome } from '../support/up.ts'

/** FlinkSnapshots of a job under `millrace up`, with real processes and savepoints in a folder. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const program = `
import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'numbers').uid('numbers')
    .keyBy(n => n % 2).reduce((a, b) => a + b).uid('sums').print()
}`
const spec = (job: string, more = '') =>
  `${job}  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n    execution.checkpointing.savepoint-dir: file://${home.directory}/savepoints\n${more}`

function snapshots(name: string): readonly FlinkSnapshot[] {
  const folder = join(home.directory, 'objects/flinksnapshots/default')
  return readdirSync(folder)
    .filter(file => file.endsWith('.json'))
    .map(file => JSON.parse(readFileSync(join(folder, file), 'utf8')) as FlinkSnapshot)
    .filter(({ spec: { jobReference } }) => jobReference?.name === name)
}

/** Folders of savepoints that are whole. */
function savepoints(): string[] {
  const folder = join(home.directory, 'savepoints')
  if (!existsSync(folder)) return []
  return readdirSync(folder).filter(name => existsSync(join(folder, name, '_metadata')))
}

test('a new savepointTriggerNonce takes a savepoint while the job runs on, under its processes; suspended, its savepoint is a FlinkSnapshot too', async () => {
  const path = home.manifest('asked', program, spec('    upgradeMode: savepoint\n'))
  const { says, child, exit, stderr } = home.run(path)
  await says(/STABLE\n/)
  const before = home.clusterProcesses()
  home.manifest('asked', program, spec('    upgradeMode: savepoint\n    savepointTriggerNonce: 1\n'))
  await says(/savepoint file:/)
  const { lastSavepoint, jobStatus, lifecycleState } = home.status('asked') ?? {}
  expect(lastSavepoint).toMatchObject({ trigger: 'MANUAL', name: expect.stringMatching(/^asked-savepoint-/) })
  expect(existsSync(join(fileURLToPath(lastSavepoint?.location ?? ''), '_metadata'))).toBe(true)
  expect([jobStatus?.state, lifecycleState]).toEqual(['RUNNING', 'STABLE'])
  expect(home.clusterProcesses()).toEqual(before)
  expect(snapshots('asked').map(({ status }) => status?.state)).toEqual(['COMPLETED'])

  home.manifest('asked', program, spec('    upgradeMode: savepoint\n    savepointTriggerNonce: 1\n    state: suspended\n'))
  await expect.poll(() => home.status('asked')?.lastSavepoint?.trigger, { timeout: 60_000 }).toBe('UPGRADE')
  const suspended = home.status('asked')
  expect(suspended?.lastSavepoint?.location).toBe(suspended?.jobStatus?.upgradeSavepointPath)
  expect(snapshots('asked').map(({ status }) => status?.state)).toEqual(['COMPLETED', 'COMPLETED'])
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(savepoints()).toHaveLength(2)
})

test('by the clock, the newest stay, and the files of the others go with them', async () => {
  const path = home.manifest('clocked', program, spec('', '  snapshots: {interval: 1 s, retain: 2}\n'))
  const { says, child, exit, stderr } = home.run(path)
  await says(/(savepoint file:[\s\S]*){5}/)
  // Five were complete, and two of them stay; one more may be on its way.
  await expect.poll(() => savepoints().length, { timeout: 30_000 }).toBeLessThanOrEqual(3)
  const status = home.status('clocked')
  expect(status?.lastSavepoint).toMatchObject({ trigger: 'PERIODIC' })
  expect(status?.lifecycleState).toBe('STABLE')
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  const kept = snapshots('clocked').filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  expect(kept.filter(({ status }) => status?.state === 'COMPLETED').length).toBeGreaterThanOrEqual(2)
})

test('FlinkSnapshots that a person writes, a savepoint and a checkpoint, are taken; deleted, they go, and the files of the savepoint with them', async () => {
  const folder = join(home.directory, 'deploy')
  mkdirSync(folder)
  renameSync(home.manifest('job', program, spec('')), join(folder, 'job.yaml'))
  const { says, child, exit, stderr } = home.run(folder)
  await says(/STABLE\n/)
  const place = `file://${home.directory}/by-hand`
  for (const [name, what] of [
    ['by-hand', `savepoint: {path: "${place}"}`],
    ['checkpoint', 'checkpoint: {}'],
  ] as const) {
    const text = `apiVersion: millrace.dev/v1alpha1\nkind: FlinkSnapshot\nmetadata: {name: ${name}}\nspec:\n  jobReference: {name: job}\n  ${what}\n`
    writeFileSync(join(folder, `${name}.yaml`), text)
  }
  const states = () => snapshots('job').map(({ metadata, status }) => `${metadata.name} ${status?.state}`)
  await expect.poll(states, { timeout: 60_000 }).toEqual(['by-hand COMPLETED', 'checkpoint COMPLETED'])
  const [savepoint, checkpoint] = snapshots('job').map(({ status }) => fileURLToPath(status?.path ?? ''))
  expect(savepoint).toMatch(new RegExp(`^${home.directory}/by-hand/savepoint-`))
  expect(checkpoint).toMatch(/\/chk-\d+$/)
  for (const name of ['by-hand', 'checkpoint']) rmSync(join(folder, `${name}.yaml`))
  await expect.poll(states, { timeout: 60_000 }).toEqual([])
  expect(existsSync(join(savepoint ?? '', '_metadata'))).toBe(false)
  expect(home.status('job')?.jobStatus?.state).toBe('RUNNING')
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
})

test('a savepoint that an up has left where it keeps state is what the next one can begin with', async () => {
  const stopped = '  deletionPolicy: Savepoint\n'
  const first = home.run(home.manifest('kept', counting('first'), stopped))
  await first.prints(/^first 5 6$/m)
  first.child.kill('SIGINT')
  expect(await first.exit, first.stderr()).toBe(130)
  const [, path = ''] = /kept: stopped with savepoint (file:\S+)/.exec(first.stderr()) ?? []
  expect(path).toContain(`${home.directory}/up/default/kept/`)

  const second = home.run(home.manifest('kept', counting('second'), `    initialSavepointPath: ${path}\n${stopped}`))
  await second.prints(/^second \d+ \d+$/m)
  const before = counted(first.stdout(), 'first').at(-1)
  expect(counted(second.stdout(), 'second')[0]).toEqual(before?.map(number => number + 1))
  expect(await home.millrace('get', 'fsnap')).toContain(`COMPLETED   ${path} `)
  second.child.kill('SIGINT')
  expect(await second.exit, second.stderr()).toBe(130)
})
