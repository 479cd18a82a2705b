import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parse } from 'yaml'
import { UpHome } from '../support/up.ts'

/** `millrace up` on a folder, with `get`, `describe`, `annotate` and `delete` beside it, all as people run them. */
let home: UpHome
beforeEach(() => {
  home = new UpHome()
})
afterEach(() => home.close())

const rows = (prefix: string) => `
import { DataGeneratorSource, type StreamExecutionEnvironment, Types, WatermarkStrategy } from 'millrace'
export default (env: StreamExecutionEnvironment) => {
  env.fromSource(new DataGeneratorSource(n => n, { rowsPerSecond: 10, type: Types.INT }), WatermarkStrategy.noWatermarks(), 'rows')
    .map(n => '${prefix} ' + n).print()
}`

const checkpointed = '  flinkConfiguration:\n    execution.checkpointing.interval: 300 ms\n    rest.require-token: true\n'

function manifest(folder: string, name: string, script: string): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${name}.yaml`)
  const block = script.trim().replaceAll(/^/gm, '      ')
  writeFileSync(
    path,
    `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: ${name}\nspec:\n  job:\n    upgradeMode: savepoint\n    script: |\n${block}\n${checkpointed}`,
  )
  return path
}

test('files of a folder are jobs: seen, annotated, edited and deleted while they run, with a token of their own', async () => {
  const folder = join(home.directory, 'deploy')
  const one = manifest(folder, 'one', rows('first'))
  manifest(folder, 'two', rows('second'))
  const { prints, says, child, exit, stdout, stderr } = home.run(folder)
  await prints(/^one \| first 5$/m)
  await prints(/^two \| second 5$/m)

  const listed = await home.millrace('get', 'flinkjobs')
  expect(listed.split('\n')[0]).toMatch(/^NAME +JOB STATE +LIFECYCLE +PARALLELISM +LAST SAVEPOINT +MESSAGE +AGE$/)
  expect(listed).toMatch(/^one +RUNNING +STABLE .*the job is RUNNING +\d+s$/m)
  expect(listed).toMatch(/^two +RUNNING +STABLE /m)

  const object = parse(await home.millrace('get', 'fj/one', '-o', 'yaml'))
  expect(object).toMatchObject({
    apiVersion: 'millrace.dev/v1alpha1',
    kind: 'FlinkJob',
    metadata: { name: 'one', namespace: 'default', generation: 1, finalizers: ['millrace.dev/cleanup'] },
    status: {
      lifecycleState: 'STABLE',
      jobStatus: { state: 'RUNNING' },
      reconciliationStatus: { lastReconciledSpec: expect.stringMatching(/^one-[0-9a-f]{10}$/) },
    },
  })
  // Nobody without the token of the cluster is answered.
  const address = object.status.clusterInfo['web-address']
  expect((await fetch(`${address}/jobs/overview`)).status).toBe(401)

  expect(await home.millrace('annotate', 'fj', 'one', 'millrace.dev/savepoint=1')).toBe('flinkjob.millrace.dev/one annotated\n')
  await says(/one: .*savepoint file:/)
  expect(await home.millrace('get', 'fsnap')).toMatch(/^one-savepoint-\w+ +one +COMPLETED +file:\S+ /m)
  const described = await home.millrace('describe', 'fj', 'one')
  expect(described).toMatch(/^Name: +one\n/)
  expect(described).toMatch(/\n {2}Last Savepoint:\n {4}/)
  expect(described).toMatch(/\n {2}Normal +SavepointCompleted +\d+s +millrace\.dev\/operator +file:\S+ \(MANUAL, FlinkSnapshot one-savepoint-\w+\)$/m)

  manifest(folder, 'one', rows('changed'))
  await prints(/^one \| changed \d+$/m)
  // What the other one does is not touched by that.
  expect(parse(await home.millrace('get', 'fj/two', '-o', 'yaml')).metadata.generation).toBe(1)

  rmSync(one)
  await says(/one: its manifest is gone: it is deleted/)
  await expect.poll(() => home.millrace('get', 'fj', '-o', 'name'), { timeout: 60_000 }).toBe('flinkjob.millrace.dev/two\n')

  expect(await home.millrace('delete', 'fj', 'two')).toBe('flinkjob.millrace.dev "two" deleted\n')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
  expect(stdout()).toMatch(/^two \| second \d+$/m)
  child.kill()

  // What an up has left can still be read.
  expect(await home.millrace('get', 'fj', 'two')).toMatch(/^two +\S+ +DELETED /m)
  await expect(home.millrace('delete', 'fj', 'two')).rejects.toMatchObject({ stderr: expect.stringContaining('no millrace up runs here') })
})

test('a manifest that is back before its object has gone is applied once it has', async () => {
  const folder = join(home.directory, 'deploy')
  const one = manifest(folder, 'one', rows('first'))
  const { prints, says, child, exit, stderr } = home.run(folder)
  await prints(/^first 5$/m)
  // Holds the deletion.
  await home.millrace('annotate', 'fj/one', 'millrace.dev/paused=true')
  await says(/one: the annotation millrace\.dev\/paused is "true": nothing is done until it goes/)
  rmSync(one)
  await says(/one: its manifest is gone: it is deleted/)
  manifest(folder, 'one', rows('again'))
  await says(/one: it is being deleted: its manifest is applied when it has gone/)
  await home.millrace('annotate', 'fj/one', 'millrace.dev/paused-')
  await prints(/^again 5$/m)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
})

test('a job of which nothing was made yet goes at Ctrl-C', async () => {
  const folder = join(home.directory, 'deploy')
  const path = manifest(folder, 'one', rows('first'))
  writeFileSync(path, readFileSync(path, 'utf8').replace('  name: one\n', '  name: one\n  annotations:\n    millrace.dev/paused: "true"\n'))
  const { says, child, exit, stderr } = home.run(folder)
  await says(/one: the annotation millrace\.dev\/paused is "true"/)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(stderr()).toMatch(/one: stopped\n/)
})

test('objects without a job are looked after until Ctrl-C', async () => {
  const path = join(home.directory, 'others.yaml')
  const head = 'apiVersion: millrace.dev/v1alpha1\nkind: '
  writeFileSync(
    path,
    `${head}FlinkSession\nmetadata:\n  name: shared\nspec: {}\n---\n${head}FlinkSnapshot\nmetadata:\n  name: early\nspec:\n  jobReference: { name: nobody }\n  savepoint: {}\n`,
  )
  const { exit, child, says, stderr } = home.run(path)
  await says(/shared: session: takes jobs, with 0 TaskManagers/)
  expect(await home.millrace('get', 'all')).toMatch(/^early +nobody .*\n/m)
  child.kill('SIGINT')
  expect(await exit, stderr()).toBe(130)
  expect(home.processes()).toEqual([])
})
