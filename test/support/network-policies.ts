import type { KubeObject } from '../../operator/kube/object-api.ts'

/**
 * What NetworkPolicies mean, as rules of iptables: pure, without a cluster. Each pod that a policy selects gets a chain a direction, in which what some policy allows returns and all else is refused.
 * What is established goes on, also when the policy under which it was established has gone. IPv4 alone; the node itself reaches its pods always, as Kubernetes has it.
 *
 * Refusing is left to chains of their own (`refusalChain`), which are made once and never flushed: their counters only grow.
 */
export interface Seen {
  readonly policies: readonly KubeObject[]
  readonly pods: readonly KubeObject[]
  readonly namespaces: readonly KubeObject[]
}

export type Direction = 'ingress' | 'egress'

interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] }[]
}

interface Peer {
  readonly podSelector?: LabelSelector
  readonly namespaceSelector?: LabelSelector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

interface Port {
  readonly protocol?: string
  readonly port?: number | string
  readonly endPort?: number
}

interface Rule {
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
  readonly ports?: readonly Port[]
}

interface PolicySpec {
  readonly podSelector?: LabelSelector
  readonly policyTypes?: readonly string[]
  readonly ingress?: readonly Rule[]
  readonly egress?: readonly Rule[]
}

interface Pod {
  readonly ip: string
  readonly namespace: string
  readonly labels: Labels
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[]
}

type Labels = Readonly<Record<string, string>>

export const MAIN_CHAIN = 'MILLRACE'
const INITIAL = { ingress: 'I', egress: 'E' } as const

/** Counts and refuses what pods of this address may not. */
export function refusalChain(ip: string, direction: Direction): string {
  return `${MAIN_CHAIN}-X${INITIAL[direction]}-${ip}`
}

export interface Rules {
  /** For `iptables-restore --noflush`. */
  readonly text: string
  /** Chains that have to be there before. */
  readonly refusals: readonly string[]
}

export function rulesOf(seen: Seen): Rules {
  const pods = seen.pods.flatMap(podOf)
  const isolated = (['egress', 'ingress'] as const).flatMap(direction =>
    pods.flatMap(pod => {
      const policies = seen.policies.filter(policy => selects(policy, pod) && typesOf(specOf(policy)).includes(direction))
      return policies.length === 0
        ? []
        : [{ pod, direction, rules: policies.flatMap(policy => allowedBy(policy, pod, direction, pods, seen.namespaces)) }]
    }),
  )
  const chainOf = (pod: Pod, direction: Direction) => `${MAIN_CHAIN}-${INITIAL[direction]}-${pod.ip}`
  const lines = [
    `:${MAIN_CHAIN} - [0:0]`,
    ...isolated.map(({ pod, direction }) => `:${chainOf(pod, direction)} - [0:0]`),
    `-A ${MAIN_CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN`,
    ...isolated.map(({ pod, direction }) => `-A ${MAIN_CHAIN} ${own(direction)} ${pod.ip}/32 -j ${chainOf(pod, direction)}`),
    ...isolated.flatMap(({ pod, direction, rules }) => [
      // No policy keeps a pod from itself, by way of a Service.
      ...[`${other(direction)} ${pod.ip}/32`, ...rules].map(match => `-A ${chainOf(pod, direction)} ${match} -j RETURN`.replace('  ', ' ')),
      `-A ${chainOf(pod, direction)} -j ${refusalChain(pod.ip, direction)}`,
    ]),
  ]
  return {
    text: ['*filter', ...lines, 'COMMIT', ''].join('\n'),
    refusals: isolated.map(({ pod, direction }) => refusalChain(pod.ip, direction)),
  }
}

function own(direction: Direction): string {
  return direction === 'egress' ? '-s' : '-d'
}

function other(direction: Direction): string {
  return direction === 'egress' ? '-d' : '-s'
}

/** None for pods that have no address, have given it back, or use the node's. */
function podOf({ metadata, spec, status }: KubeObject): readonly Pod[] {
  // The API server has looked at the shape of both.
  const { hostNetwork = false, containers = [] } = spec as {
    readonly hostNetwork?: boolean
    readonly containers?: readonly { readonly ports?: Pod['ports'] }[]
  }
  const { podIP, phase } = (status ?? {}) as { readonly podIP?: string; readonly phase?: string }
  if (podIP === undefined || hostNetwork || phase === 'Succeeded' || phase === 'Failed') return []
  return [{ ip: podIP, namespace: metadata.namespace, labels: metadata.labels ?? {}, ports: containers.flatMap(({ ports = [] }) => ports) }]
}

function selects(policy: KubeObject, pod: Pod): boolean {
  return policy.metadata.namespace === pod.namespace && isSelected(specOf(policy).podSelector ?? {}, pod.labels)
}

/** The API server has looked at its shape. */
function specOf({ spec }: KubeObject): PolicySpec {
  return spec as PolicySpec
}

function typesOf({ policyTypes, egress }: PolicySpec): readonly Direction[] {
  // The API server fills it in with the same rule.
  const types = policyTypes ?? ['Ingress', ...(egress === undefined ? [] : ['Egress'])]
  return types.map(type => (type === 'Egress' ? 'egress' : 'ingress'))
}

/** Matches of iptables, one for each pair of peer and port. */
function allowedBy(policy: KubeObject, pod: Pod, direction: Direction, pods: readonly Pod[], namespaces: readonly KubeObject[]): readonly string[] {
  const rules = specOf(policy)[direction] ?? []
  return rules.flatMap(({ from, to, ports }) => {
    const peers = (direction === 'ingress' ? from : to) ?? []
    const targets: readonly Target[] = peers.length === 0 ? [{}] : peers.flatMap(peer => targetsOf(peer, policy.metadata.namespace, pods, namespaces))
    return targets.flatMap(({ cidr, pod: peer }) => {
      const address = cidr === undefined ? '' : `${other(direction)} ${cidr}`
      return portMatches(ports, direction === 'ingress' ? pod : peer).map(port => `${address} ${port}`.trim())
    })
  })
}

/** Neither: anybody. */
interface Target {
  readonly cidr?: string
  readonly pod?: Pod
}

function targetsOf(peer: Peer, namespace: string, pods: readonly Pod[], namespaces: readonly KubeObject[]): readonly Target[] {
  const { ipBlock, namespaceSelector, podSelector = {} } = peer
  if (ipBlock !== undefined) return ipBlock.cidr.includes(':') ? [] : without([ipBlock.cidr], ipBlock.except ?? []).map(cidr => ({ cidr }))
  const isIn = (pod: Pod) => {
    if (namespaceSelector === undefined) return pod.namespace === namespace
    const labels = namespaces.find(({ metadata }) => metadata.name === pod.namespace)?.metadata.labels
    return labels !== undefined && isSelected(namespaceSelector, labels)
  }
  return pods.filter(pod => isIn(pod) && isSelected(podSelector, pod.labels)).map(pod => ({ cidr: `${pod.ip}/32`, pod }))
}

/** `listener` knows what ports are called. */
function portMatches(ports: readonly Port[] | undefined, listener: Pod | undefined): readonly string[] {
  if (ports === undefined || ports.length === 0) return ['']
  return ports.flatMap(({ protocol = 'TCP', port, endPort }) => {
    const match = `-p ${protocol.toLowerCase()}`
    if (port === undefined) return [match]
    if (typeof port === 'number') return [`${match} --dport ${endPort === undefined ? port : `${port}:${endPort}`}`]
    const named = listener?.ports.filter(each => each.name === port && (each.protocol ?? 'TCP') === protocol) ?? []
    return named.map(({ containerPort }) => `${match} --dport ${containerPort}`)
  })
}

function isSelected({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      const isAmong = value !== undefined && values.includes(value)
      if (operator === 'In') return isAmong
      if (operator === 'NotIn') return !isAmong
      if (operator === 'Exists') return value !== undefined
      if (operator === 'DoesNotExist') return value === undefined
      throw new Error(`a label selector with operator ${operator}`)
    })
  )
}

/** What of the blocks is in none of `except`: a match of iptables can leave out one block only. */
export function without(cidrs: readonly string[], except: readonly string[]): readonly string[] {
  return except.reduce<readonly string[]>((left, hole) => left.flatMap(cidr => minus(blockOf(cidr), blockOf(hole))), cidrs)
}

interface Block {
  readonly start: number
  readonly bits: number
}

/** Halved until each half is in the hole, or apart from it. */
function minus(block: Block, hole: Block): readonly string[] {
  if (isWithin(block, hole)) return []
  if (!isWithin(hole, block)) return [textOf(block)]
  const bits = block.bits + 1
  return [block.start, block.start + 2 ** (32 - bits)].flatMap(start => minus({ start, bits }, hole))
}

function isWithin(inner: Block, outer: Block): boolean {
  return inner.bits >= outer.bits && startOf(inner.start, outer.bits) === outer.start
}

function blockOf(cidr: string): Block {
  const [address = '', length = '32'] = cidr.split('/')
  const bits = Number(length)
  return {
    start: startOf(
      address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0),
      bits,
    ),
    bits,
  }
}

function startOf(address: number, bits: number): number {
  const size = 2 ** (32 - bits)
  return Math.floor(address / size) * size
}

function textOf({ start, bits }: Block): string {
  const bytes = [24, 16, 8, 0].map(shift => Math.floor(start / 2 ** shift) % 256)
  return `${bytes.join('.')}/${bits}`
}
