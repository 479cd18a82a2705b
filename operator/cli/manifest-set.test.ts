import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { ManifestSet } from './manifest-set.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-manifests-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, text: string) => {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), text)
}
const job = (name: string, sql = 'SELECT 1') =>
  `apiVersion: millrace.dev/v1alpha1\nkind: FlinkJob\nmetadata:\n  name: ${name}\nspec:\n  job:\n    sql: |\n      ${sql}\n`

function watched(paths: readonly string[] = [folder], extraArgs: readonly string[] = []) {
  const set = new ManifestSet(paths, optionTables, extraArgs)
  return async () => {
    const { objects, problems } = await set.look()
    return { names: [...objects.keys()], objects, problems: problems.map(problem => problem.replaceAll(`${folder}/`, '')) }
  }
}

test('files of a folder come and go; one that is gone counts from the second look that misses it', async () => {
  write('a.yaml', job('one'))
  write('b.yml', `${job('two')}---\n${job('three')}`)
  write('notes.txt', 'nothing')
  const look = watched()
  expect((await look()).names).toEqual(['FlinkJob default/one', 'FlinkJob default/two', 'FlinkJob default/three'])
  rmSync(join(folder, 'a.yaml'))
  write('b.yml', job('two'))
  write('c.yaml', job('four'))
  expect((await look()).names.sort()).toEqual(['FlinkJob default/four', 'FlinkJob default/one', 'FlinkJob default/two'])
  expect((await look()).names.sort()).toEqual(['FlinkJob default/four', 'FlinkJob default/two'])
})

test('a file that an editor replaces keeps its objects meanwhile', async () => {
  const path = join(folder, 'a.yaml')
  write('a.yaml', job('one'))
  const look = watched([path])
  await look()
  rmSync(path)
  expect(await look()).toMatchObject({ names: ['FlinkJob default/one'], problems: [] })
  write('a.yaml', job('one', 'SELECT 2'))
  const { objects } = await look()
  expect(objects.get('FlinkJob default/one')?.object.spec).toEqual({ job: { sql: 'SELECT 2\n' } })
})

test('a file that is renamed keeps its objects, and nothing is wrong with it', async () => {
  write('a.yaml', job('one'))
  const look = watched()
  await look()
  renameSync(join(folder, 'a.yaml'), join(folder, 'b.yaml'))
  for (let n = 0; n < 3; n++) {
    const { objects, problems } = await look()
    expect([[...objects.values()].map(({ file }) => file), problems]).toEqual([[join(folder, 'b.yaml')], []])
  }
})

test('a folder that cannot be read says nothing about its objects', async () => {
  write('deploy/a.yaml', job('one'))
  const deploy = join(folder, 'deploy')
  const look = watched([deploy])
  await look()
  rmSync(deploy, { recursive: true })
  symlinkSync(deploy, deploy)
  expect((await look()).problems).toEqual(['deploy cannot be read: ELOOP'])
  for (let n = 0; n < 3; n++) expect((await look()).names).toEqual(['FlinkJob default/one'])
})

test('a file that is wrong leaves its objects as they were, and is told of once', async () => {
  write('a.yaml', job('one'))
  const look = watched()
  await look()
  write('a.yaml', job('one').replace('sql', 'slq'))
  const wrong = await look()
  expect(wrong.problems.length).toBeGreaterThan(0)
  expect(wrong.problems.join('\n')).toContain('a.yaml:7:5: spec.job.slq: unknown field, did you mean sql?')
  expect(wrong.objects.get('FlinkJob default/one')?.object.spec).toEqual({ job: { sql: 'SELECT 1\n' } })
  expect((await look()).problems).toEqual([])
  write('a.yaml', job('one', 'SELECT 3'))
  expect((await look()).objects.get('FlinkJob default/one')?.object.spec).toEqual({ job: { sql: 'SELECT 3\n' } })
})

test('of two objects of one name the first file counts, and the other one is named', async () => {
  write('a.yaml', job('one'))
  write('b.yaml', job('one', 'SELECT 2'))
  const { objects, problems } = await watched()()
  expect(problems).toEqual([expect.stringMatching(/^b\.yaml: FlinkJob one stands in .*a\.yaml already$/)])
  expect(objects.get('FlinkJob default/one')?.file).toBe(join(folder, 'a.yaml'))
})

test('arguments of the command line come behind those of a manifest; lines of a program are the file’s', async () => {
  write('a.yaml', `# a comment\n${job('one').replace('    sql', '    args: [a]\n    sql')}`)
  const { objects } = await watched([folder], ['--once'])()
  const one = objects.get('FlinkJob default/one')
  expect(one?.object.spec).toEqual({ job: { args: ['a', '--once'], sql: 'SELECT 1\n' } })
  expect(one?.scriptLine).toBe(10)
})

test('a path that does not exist and a folder without manifests are problems', async () => {
  write('empty/notes.txt', 'nothing')
  const { names, problems } = await watched([join(folder, 'none.yaml'), join(folder, 'empty')])()
  expect(names).toEqual([])
  expect(problems).toEqual(['none.yaml does not exist', 'empty has no manifests, expected files that end in .yaml, .yml or .json'])
})
