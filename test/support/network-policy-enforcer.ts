import { execFileSync } from 'node:child_process'
import { KubeApi } from '../../operator/kube/kube-api.ts'
import type { KubeAuth } from '../../operator/kube/kube-auth.ts'
import type { ResourceType } from '../../operator/kube/object-api.ts'
import { Reflector } from '../../operator/kube/reflector.ts'
import { pods } from '../../operator/kube/resources.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import { noLog } from '../../runtime/common/log.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { type Direction, MAIN_CHAIN, refusalChain, rulesOf } from './network-policies.ts'

/**
 * Enforces NetworkPolicies on a node whose pods are routed, not bridged: watches them, pods and namespaces, and writes what `rulesOf` says whenever something changes. A pod is known once the kubelet
 * has written its address down; what it connects to before is not refused.
 */
export interface PolicyEnforcer {
  /** Packets so far that pods with this address may not have sent, or been sent. An address may come to another pod after some 250 pods. */
  refused(podIP: string): Readonly<Record<Direction, number>>
  stop(): Promise<void>
}

const networkPolicies: ResourceType = { group: 'networking.k8s.io', version: 'v1', plural: 'networkpolicies', kind: 'NetworkPolicy' }
const namespaces: ResourceType = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace' }

/** `inside`: what to put before a command so that it runs in the node's network namespace. Resolves when what is there is enforced. */
export async function enforcePolicies(auth: KubeAuth, inside: readonly string[]): Promise<PolicyEnforcer> {
  const [program = '', ...before] = inside
  const run = (command: readonly string[], input = '') => execFileSync(program, [...before, ...command], { input, encoding: 'utf8', stdio: 'pipe' })
  const api = new KubeApi({ auth, clock: systemClock, random: systemRandom })
  const ending = new AbortController()
  const known = new Set<string>()
  let isPending = true
  const write = () => {
    isPending = false
    if (ending.signal.aborted) return
    const seen = { policies: listOf(networkPolicies), pods: listOf(pods), namespaces: listOf(namespaces) }
    const { text, refusals } = rulesOf(seen)
    for (const chain of refusals)
      if (!known.has(chain)) {
        known.add(chain)
        run(restore, refusalRules(chain))
      }
    run(restore, text)
  }
  // Many changes come together.
  const onChange = () => {
    if (isPending) return
    isPending = true
    setImmediate(write)
  }
  const common = { api, clock: systemClock, random: systemRandom, log: noLog, onChange }
  const reflectors = [networkPolicies, pods, namespaces].map(type => new Reflector({ ...common, type }))
  const listOf = (type: ResourceType) => reflectors.find(each => each.type === type)?.list() ?? []
  const watching = reflectors.map(each => each.run(ending.signal))
  await Promise.all(reflectors.map(each => each.whenSynced))
  write()
  for (const chain of ['FORWARD', 'INPUT']) run(['iptables', '-w', '-I', chain, '1', '-j', MAIN_CHAIN])
  return {
    refused: ip => refusedIn(run(['iptables-save', '-c', '-t', 'filter']), ip),
    async stop() {
      ending.abort()
      api.close()
      await Promise.all(watching)
    },
  }
}

const restore = ['iptables-restore', '-w', '--noflush']

function refusalRules(chain: string): string {
  const rules = [`-A ${chain} -p tcp -j REJECT --reject-with tcp-reset`, `-A ${chain} -j REJECT --reject-with icmp-admin-prohibited`]
  return ['*filter', `:${chain} - [0:0]`, ...rules, 'COMMIT', ''].join('\n')
}

/** Of what iptables-save prints: `[packets:bytes] -A chain ...`. */
function refusedIn(saved: string, ip: string): Readonly<Record<Direction, number>> {
  const packets = (direction: Direction) =>
    saved.split('\n').reduce((sum, line) => {
      const [, count = '0', chain] = /^\[(\d+):\d+\] -A (\S+) /.exec(line) ?? []
      return chain === refusalChain(ip, direction) ? sum + Number(count) : sum
    }, 0)
  return { ingress: packets('ingress'), egress: packets('egress') }
}
