import type { z } from 'zod'
import { definitions } from '../api/crd.ts'
import { KubeError, type KubeObject } from '../kube/object-api.ts'
import { fieldPath } from '../validation/problems.ts'
import { brokenRules } from '../validation/rules.ts'

/** What the API server of a cluster does by the CRDs: fields that are absent get their defaults, and what breaks schema or rules is refused. */
export function withDefaults(object: KubeObject, before: KubeObject | undefined): KubeObject {
  const definition = definitions.find(({ kind }) => kind === object.kind)
  if (definition === undefined) return object
  const parsed = definition.spec.safeParse(object.spec)
  const problems = parsed.success
    ? brokenRules(definition.spec, object.spec, before?.spec, ['spec']).map(({ path, message }) => `${fieldPath(path)}: ${message}`)
    : parsed.error.issues.flatMap(issue => problemsOf(issue))
  if (problems.length > 0) throw new KubeError('Invalid', `${object.kind} "${object.metadata.name}" is invalid: ${problems.join('; ')}`)
  return { ...object, spec: parsed.data }
}

function problemsOf(issue: z.core.$ZodIssue): readonly string[] {
  const path = ['spec', ...issue.path.filter(part => typeof part !== 'symbol')]
  if (issue.code === 'unrecognized_keys') return issue.keys.map(key => `${fieldPath([...path, key])}: unknown field`)
  return [`${fieldPath(path)}: expected ${issue.message}`]
}
