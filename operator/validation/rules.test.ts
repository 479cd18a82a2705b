import { expect, test } from 'vitest'
import { type RuleExample, ruleExamples, soundSpecs } from '../../test/support/crd-rules.ts'
import { definitions } from '../api/crd.ts'
import { brokenRules, rulesIn } from './rules.ts'

const specOf = (kind: string) => {
  const definition = definitions.find(one => one.kind === kind)
  if (definition === undefined) throw new Error(`there is no ${kind}`)
  return definition.spec
}

const broken = ({ kind, spec, old }: Pick<RuleExample, 'kind' | 'spec' | 'old'>) =>
  brokenRules(specOf(kind), spec, old, ['spec']).map(({ path, message }) => `${path.join('.')}: ${message}`)

test.each(ruleExamples)('$kind $path $message', example => {
  expect(broken(example)).toEqual([`${example.path}: ${example.message}`])
})

test('every rule has an example', () => {
  for (const { kind, spec } of definitions)
    for (const { message, fieldPath = '', path } of rulesIn(spec, ['spec']))
      expect(
        ruleExamples.filter(example => example.kind === kind && example.message === message && example.path === `${path.join('.')}${fieldPath}`),
        `${kind} ${path.join('.')} ${message}`,
      ).not.toEqual([])
})

test.each(Object.keys(soundSpecs) as RuleExample['kind'][])('a sound %s breaks none, new or unchanged', kind => {
  const spec = soundSpecs[kind]
  expect(specOf(kind).safeParse(spec).error).toBeUndefined()
  expect(broken({ kind, spec })).toEqual([])
  expect(broken({ kind, spec, old: spec })).toEqual([])
})

test('fields that are wrong by themselves do not hide what is wrong between others, nor add to it', () => {
  expect(broken({ kind: 'FlinkJob', spec: { job: { parallelism: 'two', fallback: 7 }, snapshots: { interval: 1, cron: '0 * * * *' } } })).toEqual([
    'spec.job: expected exactly one program: script (TypeScript text), module (a file), sql (a SQL script) or configMapRef',
    'spec.job.fallback: upgradeMode stateless has nothing to fall back from',
    'spec.snapshots: expected either an interval or cron',
  ])
  expect(broken({ kind: 'FlinkSession', spec: { taskManager: { replicas: 'many' } } })).toEqual([])
})
