import { rendered } from './helm.ts'
import type { AuditedRequest } from './kubernetes-node.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

/** What has been asked for, each as `get apps/statefulsets`. */
export function rightsUsed(asked: readonly AuditedRequest[]): ReadonlySet<string> {
  return new Set(asked.flatMap(verbsOf))
}

/**
 * What was refused, of all that has been asked for. In the first half minute of a kind the API server's check of owners may not know it yet ("cannot find RESTMapping"): no right is missing, and the
 * operator asks again.
 */
export function rightsMissing(asked: readonly AuditedRequest[]): readonly string[] {
  return asked
    .filter(({ responseStatus }) => responseStatus?.code === 403 && !responseStatus.message?.includes('cannot find RESTMapping'))
    .map(({ verb, objectRef, responseStatus }) => `${verb} ${objectRef?.resource}: ${responseStatus?.message}`)
}

/** What the chart with these values gives the operator on objects of jobs, each as `get apps/statefulsets`. */
export async function rightsGranted(values: object): Promise<readonly string[]> {
  const roles = (await rendered(values, '/nonexistent')).filter(
    ({ kind, metadata }) => kind.endsWith('Role') && /^millrace-operator/.test(metadata.name),
  )
  return roles
    .flatMap(role => role['rules'] as readonly Rule[])
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap(group => resources.flatMap(resource => verbs.map(verb => `${verb} ${group}/${resource}`))),
    )
}

function verbsOf({ verb, objectRef, responseStatus }: AuditedRequest): readonly string[] {
  const { apiGroup = '', resource = '', subresource } = objectRef ?? {}
  const what = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`
  // An apply that makes the object needs the right to create as well.
  return verb === 'patch' && responseStatus?.code === 201 ? [`patch ${what}`, `create ${what}`] : [`${verb} ${what}`]
}
