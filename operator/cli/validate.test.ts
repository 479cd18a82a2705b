import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { validate } from './validate.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-validate-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const object = (kind: string, name: string, spec: string) =>
  `apiVersion: millrace.dev/v1alpha1\nkind: ${kind}\nmetadata:\n  name: ${name}\nspec:\n${spec}`
const job = object('FlinkJob', 'words', '  job:\n    sql: SELECT 1\n')
const session = object('FlinkSession', 'shared', '  maxTaskManagers: 3\n')
const snapshot = object('FlinkSnapshot', 'before', '  jobReference: { name: words }\n  savepoint: {}\n')

async function run(files: Readonly<Record<string, string>>, ...paths: string[]) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const printed: string[] = []
  const errors: string[] = []
  const parts = { optionTables, print: (line: string) => printed.push(line), printError: (line: string) => errors.push(line) }
  const code = await validate(paths.length === 0 ? [folder] : paths.map(path => join(folder, path)), parts)
  const short = (lines: readonly string[]) => lines.map(line => line.replaceAll(`${folder}/`, ''))
  return { code, printed: short(printed), errors: short(errors) }
}

test('all kinds, several in a file, a folder in order of names', async () => {
  expect(await run({ 'b.yaml': `${session}---\n${snapshot}`, 'a.yml': job, 'notes.txt': 'no manifest' })).toEqual({
    code: 0,
    printed: ['a.yml: FlinkJob words is sound', 'b.yaml: FlinkSession shared is sound', 'b.yaml: FlinkSnapshot before is sound'],
    errors: [],
  })
})

test('every problem of every file, each with its place', async () => {
  const { code, printed, errors } = await run({
    'a.yaml': object('FlinkSession', 'shared', '  maxTaskManagers: 2\n  taskManager: { replicas: 3 }\n  flinkConfiguration: { rest.prt: 1 }\n'),
    'b.yaml': `${job}---\n${object('FlinkSnapshot', 'before', '  savepoint: {}\n  checkpont: {}\n')}`,
    'c.yaml': 'kind: Deployment\n',
    'd.json': '{',
    'e.yaml': '',
  })
  expect([code, printed]).toEqual([1, ['b.yaml: FlinkJob words is sound']])
  expect(errors).toEqual([
    'a.yaml:6:20: spec.maxTaskManagers: must not be less than taskManager.replicas',
    'a.yaml:8:25: spec.flinkConfiguration["rest.prt"]: unknown option rest.prt, did you mean rest.port?',
    'b.yaml:13:1: spec.jobReference: is needed, unless the savepoint is there already',
    'b.yaml:15:3: spec.checkpont: unknown field, did you mean checkpoint?',
    'c.yaml:1:7: kind: expected FlinkJob, FlinkSession, FlinkSnapshot or ConfigMap, got "Deployment"',
    expect.stringMatching(/^d\.json:1:2: /),
    'e.yaml:1:1: the file is empty, expected manifests of FlinkJobs, FlinkSessions or FlinkSnapshots',
  ])
})

test('one name twice, a path that is not there, a folder without manifests', async () => {
  expect((await run({ 'a.yaml': job, 'b.yaml': job })).errors).toEqual(['b.yaml: FlinkJob words stands in a.yaml already'])
  expect((await run({ 'empty/notes.txt': '' }, 'missing.yaml', 'empty')).errors).toEqual([
    'missing.yaml does not exist',
    'empty has no manifests, expected files that end in .yaml, .yml or .json',
  ])
})

test('a folder in the place of a file is named, and the others are looked at', async () => {
  mkdirSync(join(folder, 'a.yaml'))
  expect(await run({ 'b.yaml': job })).toEqual({ code: 1, printed: ['b.yaml: FlinkJob words is sound'], errors: ['a.yaml cannot be read: EISDIR'] })
})

test('a program of 1 MB is sound, a larger one is named', async () => {
  const large = (size: number) => object('FlinkJob', 'large', `  job:\n    sql: ${'x'.repeat(size)}\n`)
  expect((await run({ 'a.yaml': large(2 ** 20) })).code).toBe(0)
  expect((await run({ 'a.yaml': large(2 ** 20 + 1) })).errors).toEqual([
    expect.stringMatching(/^a\.yaml:7:10: spec\.job\.sql: expected a text of at most 1 MiB, got "x/),
  ])
})
