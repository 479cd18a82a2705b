import { createHash } from 'node:crypto'
import type { FlinkJobSpec } from '../../operator/api/flink-job.ts'
import type { ClusterInput } from '../../operator/effects/kubernetes/objects.ts'

/** A FlinkJob with every field that says how its pods are made. */
export const fullSpec: FlinkJobSpec = {
  job: {
    script: 'export default env => env.fromElements(1).print()\n',
    entryClass: 'default',
    args: ['--prefix', '$(HOME)'],
    parallelism: 4,
    state: 'running',
    upgradeMode: 'savepoint',
    fallback: 'none',
  },
  flinkConfiguration: { 'taskmanager.numberOfTaskSlots': '2', 'execution.checkpointing.dir': 's3://bucket/checkpoints' },
  image: 'example/millrace:1',
  imagePullPolicy: 'IfNotPresent',
  serviceAccount: 'runner',
  podTemplate: {
    metadata: { labels: { team: 'words' }, annotations: { note: 'common' } },
    spec: {
      nodeSelector: { disk: 'fast' },
      containers: [{ name: 'main', env: [{ name: 'REGION', value: 'north' }] }],
      volumes: [{ name: 'data', emptyDir: {} }],
    },
  },
  jobManager: {
    resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '512Mi' } },
    podTemplate: { spec: { initContainers: [{ name: 'fetch', image: 'example/fetch:1' }] } },
  },
  taskManager: {
    replicas: 2,
    resources: { requests: { cpu: 2, memory: '2Gi' } },
    podTemplate: {
      spec: {
        containers: [
          { name: 'main', env: [{ name: 'REGION', value: 'south' }], volumeMounts: [{ name: 'data', mountPath: '/data' }] },
          { name: 'logs', image: 'example/logs:1' },
        ],
        tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      },
    },
  },
  ingress: {
    template: '{{name}}.{{namespace}}.example.com/jobs',
    className: 'nginx',
    annotations: { 'example.com/limit': '10' },
    labels: { zone: 'public' },
    tls: [{ hosts: ['words.jobs.example.com'], secretName: 'words-tls' }],
  },
}

export function clusterInput(
  spec: FlinkJobSpec,
  name = 'words',
  uid = '1b4e28ba-2fa1-11d2-883f-0016d3cca427',
): ClusterInput & { readonly spec: FlinkJobSpec } {
  return {
    owner: { apiVersion: 'millrace.dev/v1alpha1', kind: 'FlinkJob', name, namespace: 'jobs', uid },
    spec,
    settings: { image: 'example/millrace:default', hash: text => createHash('sha256').update(text).digest('hex') },
  }
}
