import { z } from 'zod'

/**
 * The values of the helm chart: what they are called, what they mean, what they are unless somebody says otherwise. `values.yaml`, `values.schema.json` and the table of the chart's README are
 * made of it (`make chart`). A value that is not here is refused by helm.
 */
const anything = (what: string) => z.looseObject({}).default({}).describe(what)
const texts = (what: string) => z.record(z.string(), z.string()).default({}).describe(what)
const list = (what: string) => z.array(z.looseObject({})).default([]).describe(what)
const flag = (value: boolean, what: string) => z.boolean().default(value).describe(what)
const text = (what: string, value = '') => z.string().default(value).describe(what)
const group = <T extends z.ZodRawShape>(what: string, shape: T) => z.strictObject(shape).optional().describe(what)

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const
const digest = z
  .string()
  .regex(/^(sha256:[0-9a-f]{64})?$/)
  .default('')
  .describe('as `sha256:…`: exactly this image, whatever its tag says')

export const chartValues = z.strictObject({
  global: z.looseObject({}).optional().describe('what helm hands to every chart; not read'),
  nameOverride: text('instead of the name of the chart in the names of its objects'),
  fullnameOverride: text('the name of the objects; default: release and chart'),
  watchNamespaces: z
    .array(z.string())
    .default([])
    .describe(
      'the namespaces whose jobs are looked after, by a Role in each, and no ClusterRole; they have to be there. Empty: all, by a ClusterRole',
    ),
  image: group('the image of the operator', {
    repository: text('where it is', 'millrace-operator'),
    tag: text('default: the version of the app'),
    digest,
    pullPolicy: z.enum(pullPolicies).default('IfNotPresent').describe('when it is fetched'),
  }),
  runtimeImage: group('the image of jobs whose `spec.image` names none', {
    repository: text('where it is', 'millrace'),
    tag: text('default: the version of the app'),
    digest,
  }),
  imagePullSecrets: list('of the image of the operator; those of jobs stand in their pod templates'),
  crds: group('the kinds FlinkJob, FlinkSession and FlinkSnapshot', {
    install: flag(true, 'the chart brings them, and a newer chart newer ones'),
    keep: flag(true, 'they stay when the release is uninstalled, and with them all jobs'),
  }),
  replicas: z.int().min(1).default(1).describe('operators; one of them leads, by a Lease, the others stand by'),
  selector: texts('only objects with these labels are looked after'),
  operatorPod: group('of the pods of the operator, as Kubernetes has it', {
    labels: texts('in addition'),
    annotations: texts('in addition'),
    resources: anything('of its container').default({ requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '512Mi' } }),
    env: list('in addition'),
    nodeSelector: texts('where it may run'),
    affinity: anything('where it had better run'),
    tolerations: list('of taints of nodes'),
    topologySpreadConstraints: list('how several are spread'),
    priorityClassName: text('what goes before what'),
    podSecurityContext: anything('of the pod').default({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }),
    securityContext: anything('of the container').default({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    }),
  }),
  serviceAccount: group('as which the operator asks the API server', {
    create: flag(true, 'it is made; otherwise `name` is there already'),
    name: text('default: that of the objects'),
    annotations: texts('of the account'),
  }),
  rbac: group('what the operator may do', {
    create: flag(true, 'Roles and their bindings are made; otherwise somebody else has made them'),
    standby: flag(
      true,
      'the operator may make JobManagers that stand by (`jobManager.replicas` above 1): ServiceAccounts, Roles, RoleBindings and Leases of jobs',
    ),
    aggregate: flag(true, 'the roles admin, edit and view of the cluster say what people may do with the three kinds'),
  }),
  podDisruptionBudget: group('how many operators a drain may take at once', {
    enabled: flag(false, 'worth it with two replicas or more'),
    maxUnavailable: z
      .union([z.int().min(0), z.string()])
      .default(1)
      .describe('a number, or a share as `50%`'),
  }),
  evictions: group('pods of jobs are evicted, as by `kubectl drain`, behind a checkpoint', {
    enabled: flag(false, 'the API server asks the operator (a ValidatingWebhookConfiguration, with a certificate that helm makes once)'),
    deadline: text('after which a pod goes without a new checkpoint', '2 min'),
  }),
  networkPolicies: group('default deny for the operator and for the pods of jobs; needs a network that enforces NetworkPolicies', {
    enabled: flag(false, 'NetworkPolicies are made: of the operator by the chart, of each FlinkJob and FlinkSession by the operator'),
    egress: list('NetworkPolicyEgressRules of jobs and operator: brokers and stores. DNS is allowed, and what belongs to the same job'),
    restFrom: list('NetworkPolicyPeers that may ask REST of jobs besides the operator: an ingress controller'),
    apiServer: list('NetworkPolicyEgressRules of the operator: the API server').default([
      {
        ports: [
          { protocol: 'TCP', port: 443 },
          { protocol: 'TCP', port: 6443 },
        ],
      },
    ]),
    metricsFrom: list('NetworkPolicyPeers that may ask the operator for its metrics; empty: everybody'),
  }),
  metrics: group('what the operator says of itself, at `/metrics` of port 8085', {
    serviceMonitor: group('for the operator of Prometheus', {
      enabled: flag(false, 'a ServiceMonitor is made; its kind has to be there'),
      interval: text('between two looks', '30s'),
      labels: texts('by which your Prometheus selects it'),
    }),
    prometheusRule: group('alerts', {
      enabled: flag(false, 'a PrometheusRule is made; its kind has to be there'),
      labels: texts('by which your Prometheus selects it'),
    }),
    dashboard: group('for Grafana', {
      enabled: flag(false, 'a ConfigMap with a dashboard is made'),
      labels: texts('by which your Grafana finds it').default({ grafana_dashboard: '1' }),
    }),
  }),
  tests: group('`helm test`: a job is made, and has to finish', {
    enabled: flag(true, 'the test comes with the release; its account may do nothing but that'),
    timeoutSeconds: z.int().min(1).default(300).describe('after which the test has failed'),
  }),
  extraObjects: z
    .array(z.union([z.string(), z.looseObject({})]))
    .default([])
    .describe('further objects of the release, as maps or as texts; templates in them are carried out'),
})
