import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FlinkJobSpec } from '../../../operator/api/flink-job.ts'
import { jobManagerObjects, plannerObjects, taskManagerObjects, tokenSecret } from '../../../operator/effects/kubernetes/objects.ts'
import { apiVersionOf, typeOf } from '../../../operator/kube/resources.ts'
import { KubeControlPlane } from '../../support/kube-control-plane.ts'
import { clusterInput, fullSpec } from '../../support/kubernetes-cluster.ts'

let plane: KubeControlPlane
beforeAll(async () => {
  plane = await KubeControlPlane.start()
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' }
  const { status } = await plane.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'jobs', labels } })
  expect(status).toBe(201)
})
afterAll(async () => plane?.[Symbol.asyncDispose]())

const minimal: FlinkJobSpec = { ...fullSpec, taskManager: {} }
for (const field of ['podTemplate', 'jobManager', 'ingress', 'serviceAccount', 'imagePullPolicy'] as const) Reflect.deleteProperty(minimal, field)
const withoutOthers: FlinkJobSpec = { ...fullSpec, taskManager: {}, jobManager: {} }

test.each([
  ['every field', fullSpec, 'words'],
  ['no field of Kubernetes', minimal, 'words'],
  ['the longest name', withoutOthers, 'a'.repeat(45)],
] as const)(
  'a server takes all objects of a FlinkJob with %s, knows each field, and finds nothing against the restricted standard',
  async (_what, spec, name) => {
    const input = clusterInput(spec, name)
    const objects = [
      tokenSecret(input.owner, 'dG9rZW4='),
      ...jobManagerObjects(input),
      ...taskManagerObjects(input, 2),
      ...plannerObjects(input, 120),
    ]
    for (const object of objects) {
      const type = typeOf(object)
      const root = type.group === '' ? '/api/v1' : `/apis/${apiVersionOf(type)}`
      const path = `${root}/namespaces/jobs/${type.plural}/${object.metadata.name}?fieldManager=millrace&force=true&dryRun=All&fieldValidation=Strict`
      // JSON is YAML.
      const { status, body } = await plane.call('PATCH', path, object, { contentType: 'application/apply-patch+yaml' })
      const isForeign = object.kind === 'Pod' && name === 'words' && spec === fullSpec
      // The container that the template brings along for the JobManager says nothing of its rights: that is its author's matter.
      if (isForeign) expect(JSON.stringify(body)).toContain('container \\"fetch\\" must set')
      else expect([status, status === 201 ? '' : JSON.stringify(body)], `${object.kind} ${object.metadata.name}`).toEqual([201, ''])
    }
    expect(objects.map(({ kind }) => kind)).toContain('StatefulSet')
  },
)
