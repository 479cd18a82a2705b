import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issueCertificate } from '../../operator/effects/certificates.ts'
import { type KubeAuth, withToken } from '../../operator/kube/kube-auth.ts'
import { systemClock } from '../../runtime/common/clock.ts'
import type { ClusterRole } from '../../runtime/common/cluster-sockets.ts'
import { systemRandom } from '../../runtime/common/random.ts'
import { type GuardedProcess, startGuarded } from './guarded-process.ts'
import { cacheFolder, flags, kubeBinary, runKubectl, writeAccountKeys } from './kube-binaries.ts'
import { enforcePolicies, type PolicyEnforcer } from './network-policy-enforcer.ts'

/**
 * A whole Kubernetes cluster of one node in a network namespace of its own: etcd, kube-apiserver, controller-manager, scheduler, containerd, kubelet, kube-proxy, CoreDNS. Pods have addresses of
 * their own, Services and DNS work, nothing leaves the machine. Needs root, and what test/parts/install-*.sh bring.
 *
 * 1. A pair of links leads into the namespace: `node` (10.99.N.1) is the node, `outside` (10.99.N.2) this machine, where brokers and stores listen that pods shall reach.
 * 2. Everything lies in one folder, runs below processes that end with this one, and is removed at the end, also what containers leave: mounts, cgroups, links.
 * 3. Who has no token of the API server reaches nothing: the kubelet takes its certificate only, etcd listens inside the namespace. Tokens are random and readable by root.
 * 4. Pods are routed to each other, and NetworkPolicies are enforced between them (network-policy-enforcer.ts).
 * 5. What an earlier one left that was killed is removed first; one whose process lives is left alone.
 */
export interface KubernetesNode extends TestCluster {
  readonly apiServer: string
  /** What `importImage` does, for others: without the archive. */
  readonly importCommand: readonly string[]
  /** Packets so far that NetworkPolicies have kept pods of this address from sending and getting. */
  readonly refused: PolicyEnforcer['refused']
  /** It is killed, and started again over what it has on disk when the work has been done. */
  without(part: Part, work: () => Promise<void>): Promise<void>
  /** kill -9 of what runs in the containers of a pod, by its uid; answers how many processes. */
  killInPod(uid: string): number
  /** What this user has asked the API server for so far; watches when they ended. */
  audited(user: string): readonly AuditedRequest[]
}

/** What tests need that run on any cluster (test-cluster.ts). */
export interface TestCluster extends AsyncDisposable {
  /** For kubectl, helm and others. */
  readonly kubeconfig: string
  /** Address of this machine for pods. */
  readonly outside: string
  kubectl(args: readonly string[], input?: string): Promise<string>
  /** A docker-archive; pods name it with imagePullPolicy Never or IfNotPresent. */
  importImage(archive: string): void
}

/** A request that was answered. */
export interface AuditedRequest {
  readonly verb: string
  readonly user: { readonly username: string }
  readonly objectRef?: { readonly apiGroup?: string; readonly resource: string; readonly name?: string; readonly subresource?: string }
  readonly responseStatus?: { readonly code: number; readonly message?: string }
}

export type Part = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'containerd' | 'kubelet' | 'kube-proxy' | 'CoreDNS'

interface Place {
  readonly folder: string
  readonly namespace: string
  readonly node: string
  readonly outside: string
}

export const NODE_NAME = 'node-1'
const SERVICE_CIDR = '10.96.0.0/16'
const POD_CIDR = '10.244.0.0/24'
export const PAUSE_IMAGE = 'millrace.test/pause:1'
const READY_MS = 60_000

export async function startKubernetesNode(say: (line: string) => void = () => {}): Promise<KubernetesNode> {
  if (process.getuid?.() !== 0) throw new Error('a Kubernetes node needs root: for network namespaces, mounts and containers')
  const place = makePlace()
  const running = new Map<string, GuardedProcess>()
  const commands = new Map<string, Parameters<Start>>()
  const start: Start = async (name, command, ready) => {
    say(`starting ${name}`)
    commands.set(name, [name, command, ready])
    running.set(name, await startGuarded(inside(place, command), { name, ready }))
  }
  let enforcer: PolicyEnforcer | undefined
  const dispose = async () => {
    await enforcer?.stop()
    // It would start anew what ends.
    await running.get('kubelet')?.stop()
    killShims(place)
    for (const each of [...running.values()].reverse()) await each.stop()
    removePlace(place)
  }
  try {
    await startControlPlane(place, start)
    await start('containerd', ['containerd', '--config', containerdConfig(place)], 'containerd successfully booted')
    const importCommand = ['ctr', '--address', join(place.folder, 'containerd.sock'), '-n', 'k8s.io', 'image', 'import']
    const importImage = (archive: string) => void run(...importCommand, archive)
    importImage(join(cacheFolder('pause-1'), 'pause.tar'))
    await start('kubelet', kubeletCommand(place), 'Started kubelet')
    await start('kube-proxy', proxyCommand(place), 'Caches are synced')
    await start('CoreDNS', dnsCommand(place), 'CoreDNS-')
    enforcer = await enforcePolicies(adminAuth(place), inside(place, []))
    const { refused } = enforcer
    const node: KubernetesNode = {
      kubeconfig: kubeconfigOf(place, 'admin'),
      apiServer: apiServerOf(place),
      outside: place.outside,
      kubectl: (args, input) => admin(place, args, input),
      importImage,
      importCommand,
      refused,
      async without(part, work) {
        await running.get(part)?.stop()
        try {
          await work()
        } finally {
          const known = commands.get(part)
          if (known !== undefined) await start(...known)
          if (part === 'kube-apiserver' || part === 'etcd') await untilServed(place)
          if (part === 'CoreDNS') await untilResolved(place)
        }
      },
      killInPod,
      audited: user => auditedIn(place.folder).filter(({ user: { username } }) => username === user),
      [Symbol.asyncDispose]: dispose,
    }
    say('waiting for the node to be ready')
    await node.kubectl(['wait', '--for=condition=Ready', `node/${NODE_NAME}`, `--timeout=${READY_MS / 1000}s`])
    await node.kubectl(['wait', '--for=create', 'serviceaccount/default', `--timeout=${READY_MS / 1000}s`])
    await untilResolved(place)
    return node
  } catch (error) {
    await dispose()
    throw error
  }
}

function makePlace(): Place {
  removeLeftovers()
  const taken = new Set(readdirSync('/var/run/netns', { withFileTypes: true }).map(({ name }) => name))
  const number = Array.from({ length: 200 }, (_, n) => n).find(n => !taken.has(`millrace-${n}`))
  if (number === undefined) throw new Error('there are 200 network namespaces millrace-<n>')
  const folder = mkdtempSync(join(tmpdir(), `millrace-node-${number}-`))
  writeFileSync(join(folder, 'owner'), String(process.pid))
  const place = { folder, namespace: `millrace-${number}`, node: `10.99.${number}.1`, outside: `10.99.${number}.2` }
  try {
    makeLinks(place, number)
    return place
  } catch (error) {
    removePlace(place)
    throw error
  }
}

function makeLinks(place: Place, number: number): void {
  const [own, other] = [`mrn${number}`, `mrh${number}`]
  run('ip', 'netns', 'add', place.namespace)
  run('ip', 'link', 'add', other, 'type', 'veth', 'peer', 'name', own, 'netns', place.namespace)
  run('ip', 'addr', 'add', `${place.outside}/24`, 'dev', other)
  run('ip', 'link', 'set', other, 'up')
  const [ip, sysctl] = [inside(place, ['ip']), inside(place, ['sysctl', '-q', '-w'])]
  run(...ip, 'link', 'set', 'lo', 'up')
  run(...ip, 'addr', 'add', `${place.node}/24`, 'dev', own)
  run(...ip, 'link', 'set', own, 'up')
  run(...ip, 'route', 'add', 'default', 'via', place.outside)
  run(...sysctl, 'net.ipv4.ip_forward=1')
}

/** `ip netns exec` would mount another /sys, without cgroups. */
function inside({ namespace }: Place, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/var/run/netns/${namespace}`, ...command]
}

function run(...[command = '', ...args]: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

const USERS = {
  admin: { name: 'admin', group: 'system:masters' },
  'controller-manager': { name: 'system:kube-controller-manager', group: 'system:masters' },
  scheduler: { name: 'system:kube-scheduler', group: 'system:masters' },
  kubelet: { name: `system:node:${NODE_NAME}`, group: 'system:nodes' },
  proxy: { name: 'system:kube-proxy', group: 'system:node-proxier' },
  dns: { name: 'coredns', group: 'system:masters' },
} as const

function apiServerOf({ node }: Place): string {
  return `https://${node}:6443`
}

type User = keyof typeof USERS

function kubeconfigOf({ folder }: Place, user: User): string {
  return join(folder, `${user}.kubeconfig`)
}

/** For each user, and what the API server knows them by. */
function writeTokens(place: Place): void {
  const lines = Object.entries(USERS).map(([user, { name, group }]) => {
    const token = randomBytes(32).toString('hex')
    // Of Object.entries: these are the keys.
    writeKubeconfig(place, user as User, token)
    return `${token},${name},${name},${group}\n`
  })
  writeFileSync(join(place.folder, 'tokens.csv'), lines.join(''), { mode: 0o600 })
}

function writeKubeconfig(place: Place, user: User, token: string): void {
  const cluster = { server: apiServerOf(place), 'certificate-authority': join(place.folder, 'certificates', 'apiserver.crt') }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'millrace', cluster }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'millrace', context: { cluster: 'millrace', user } }],
    'current-context': 'millrace',
  }
  writeFileSync(kubeconfigOf(place, user), JSON.stringify(config), { mode: 0o600 })
}

type Start = (name: string, command: readonly string[], ready: string) => Promise<void>

async function startControlPlane(place: Place, start: Start): Promise<void> {
  const { folder, node } = place
  writeAccountKeys(folder)
  writeTokens(place)
  const kubeletClient = writeKubeletClient(folder)
  const etcd = { 'data-dir': join(folder, 'etcd'), 'unsafe-no-fsync': 'true' }
  await start('etcd', [kubeBinary('etcd'), ...flags(etcd)], 'ready to serve client requests')
  const api = {
    'etcd-servers': 'http://127.0.0.1:2379',
    'bind-address': '0.0.0.0',
    'advertise-address': node,
    'cert-dir': join(folder, 'certificates'),
    'token-auth-file': join(folder, 'tokens.csv'),
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction,OwnerReferencesPermissionEnforcement',
    ...auditFlags(folder),
    'service-account-issuer': 'https://kubernetes.default.svc.cluster.local',
    'service-account-key-file': join(folder, 'accounts.pub'),
    'service-account-signing-key-file': join(folder, 'accounts.key'),
    'service-cluster-ip-range': SERVICE_CIDR,
    'kubelet-preferred-address-types': 'InternalIP',
    'kubelet-client-certificate': kubeletClient.certificate,
    'kubelet-client-key': kubeletClient.key,
    'allow-privileged': 'true',
  }
  await start('kube-apiserver', [kubeBinary('kube-apiserver'), ...flags(api)], 'Serving securely on')
  await untilServed(place)
  await admin(place, ['create', 'clusterrolebinding', KUBELET_CLIENT, '--clusterrole=system:kubelet-api-admin', `--user=${KUBELET_CLIENT}`])
  const manager = {
    kubeconfig: kubeconfigOf(place, 'controller-manager'),
    'service-account-private-key-file': join(folder, 'accounts.key'),
    'root-ca-file': join(folder, 'certificates', 'apiserver.crt'),
    'use-service-account-credentials': 'true',
    'leader-elect': 'false',
    'cert-dir': join(folder, 'controller-manager'),
  }
  await start('kube-controller-manager', [kubeBinary('kube-controller-manager'), ...flags(manager)], 'Serving securely on')
  const scheduler = { kubeconfig: kubeconfigOf(place, 'scheduler'), 'leader-elect': 'false', 'cert-dir': join(folder, 'scheduler') }
  await start('kube-scheduler', [kubeBinary('kube-scheduler'), ...flags(scheduler)], 'Serving securely on')
}

function admin(place: Place, args: readonly string[], input = ''): Promise<string> {
  return runKubectl(['--kubeconfig', kubeconfigOf(place, 'admin'), ...args], input, place.folder)
}

function adminAuth(place: Place): KubeAuth {
  const config = JSON.parse(readFileSync(kubeconfigOf(place, 'admin'), 'utf8')) as {
    readonly users: readonly { readonly user: { readonly token: string } }[]
  }
  return withToken(apiServerOf(place), config.users[0]?.user.token, readFileSync(join(place.folder, 'certificates', 'apiserver.crt'), 'utf8'))
}

/** As whom the API server asks the kubelet, for logs, exec and port-forward. */
const KUBELET_CLIENT = 'kube-apiserver-kubelet-client'
const YEAR_MS = 365 * 24 * 3_600_000

/** Paths of PEM files; the kubelet takes whom `kubelet-ca.crt` vouches for. */
function writeKubeletClient(folder: string): { readonly certificate: string; readonly key: string } {
  const issuing = { random: systemRandom, nowMs: systemClock.nowMs(), validMs: YEAR_MS }
  const authority = createAuthority('kubelet-ca', issuing)
  // No role of ours: what it writes down as the common name is who the kubelet sees.
  const issued = issueCertificate(authority, [KUBELET_CLIENT as ClusterRole], issuing)
  const paths = { certificate: join(folder, 'kubelet-client.crt'), key: join(folder, 'kubelet-client.key') }
  writeFileSync(kubeletAuthority(folder), authority.certificate)
  writeFileSync(paths.certificate, issued.certificate)
  writeFileSync(paths.key, issued.key, { mode: 0o600 })
  return paths
}

function kubeletAuthority(folder: string): string {
  return join(folder, 'kubelet-ca.crt')
}

function untilServed(place: Place): Promise<void> {
  return untilAnswered(() => admin(place, ['get', '--raw', '/readyz']))
}

function untilResolved(place: Place): Promise<void> {
  return untilAnswered(() => resolverOf(place).resolve4('kubernetes.default.svc.cluster.local'))
}

/** Of pods' accounts, and who has pods evicted. */
function auditFlags(folder: string): Readonly<Record<string, string>> {
  const rules = [
    { level: 'Metadata', userGroups: ['system:serviceaccounts'] },
    { level: 'Metadata', resources: [{ group: '', resources: ['pods/eviction'] }] },
    { level: 'None' },
  ]
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules }
  writeFileSync(join(folder, 'audit-policy.yaml'), JSON.stringify(policy))
  return { 'audit-policy-file': join(folder, 'audit-policy.yaml'), 'audit-log-path': join(folder, 'audit.log') }
}

function auditedIn(folder: string): readonly AuditedRequest[] {
  const lines = readFileSync(join(folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
  return lines.map(line => JSON.parse(line) as AuditedRequest)
}

async function untilAnswered(ask: () => Promise<unknown>): Promise<void> {
  for (const endMs = Date.now() + READY_MS; ; ) {
    const problem = await ask().then(
      () => undefined,
      (error: Error) => error,
    )
    if (problem === undefined) return
    if (Date.now() > endMs) throw problem
    await new Promise(resolve => setTimeout(resolve, 100))
  }
}

function resolverOf({ node }: Place): Resolver {
  const resolver = new Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers([node])
  return resolver
}

function containerdConfig({ folder }: Place): string {
  const cni = join(folder, 'cni')
  mkdirSync(cni)
  // A bridge would pass frames between pods by the rules of the node.
  const link = {
    type: 'ptp',
    ipMasq: true,
    ipam: { type: 'host-local', dataDir: join(folder, 'addresses'), ranges: [[{ subnet: POD_CIDR }]], routes: [{ dst: '0.0.0.0/0' }] },
  }
  const network = { cniVersion: '1.0.0', name: 'pods', plugins: [link, { type: 'portmap', capabilities: { portMappings: true } }] }
  writeFileSync(join(cni, '10-pods.conflist'), JSON.stringify(network))
  const path = join(folder, 'containerd.toml')
  writeFileSync(
    path,
    `version = 2
root = "${folder}/containerd"
state = "${folder}/containerd-state"
[grpc]
  address = "${folder}/containerd.sock"
[ttrpc]
  address = "${folder}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${cni}"
`,
  )
  return path
}

function kubeletCommand(place: Place): readonly string[] {
  const { folder, node, namespace } = place
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${folder}/containerd.sock`,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: kubeletAuthority(folder) } },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${namespace}`,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%', 'nodefs.inodesFree': '1%' },
    imageGCHighThresholdPercent: 100,
    resolvConf: '',
    clusterDNS: [node],
    clusterDomain: 'cluster.local',
    podLogsDir: join(folder, 'pod-logs'),
    syncFrequency: '10s',
    nodeStatusUpdateFrequency: '5s',
    // How much of its disk a pod uses is looked at once a minute otherwise.
    volumeStatsAggPeriod: '5s',
  }
  for (const controller of cgroupControllers()) mkdirSync(join('/sys/fs/cgroup', controller, namespace), { recursive: true })
  writeFileSync(join(folder, 'kubelet.yaml'), JSON.stringify(config))
  const options = {
    config: join(folder, 'kubelet.yaml'),
    kubeconfig: kubeconfigOf(place, 'kubelet'),
    'root-dir': join(folder, 'kubelet'),
    'cert-dir': join(folder, 'kubelet-certificates'),
    'node-ip': node,
    'hostname-override': NODE_NAME,
  }
  return [kubeBinary('kubelet'), ...flags(options)]
}

/** With cgroup v2 there is one tree. */
function cgroupControllers(): readonly string[] {
  return existsSync('/sys/fs/cgroup/cgroup.controllers') ? ['.'] : readdirSync('/sys/fs/cgroup')
}

function proxyCommand(place: Place): readonly string[] {
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: kubeconfigOf(place, 'proxy') },
    hostnameOverride: NODE_NAME,
    mode: 'iptables',
    clusterCIDR: POD_CIDR,
    conntrack: { maxPerCore: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  }
  writeFileSync(join(place.folder, 'proxy.yaml'), JSON.stringify(config))
  return [kubeBinary('kube-proxy'), ...flags({ config: join(place.folder, 'proxy.yaml') })]
}

function dnsCommand(place: Place): readonly string[] {
  const path = join(place.folder, 'Corefile')
  writeFileSync(
    path,
    `.:53 {
  bind ${place.node}
  errors
  kubernetes cluster.local {
    kubeconfig ${kubeconfigOf(place, 'dns')}
    ttl 1
  }
}
`,
  )
  return [join(cacheFolder('coredns-1.14.7'), 'coredns'), '-conf', path]
}

/** They would outlive containerd. */
function killShims({ folder }: Place): void {
  for (const pid of processesNaming(folder, 'containerd-shim')) kill(pid)
}

function processesNaming(folder: string, program: string): readonly number[] {
  return readdirSync('/proc').flatMap(name => {
    if (!/^\d+$/.test(name)) return []
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
      return (command[0] ?? '').includes(program) && command.some(part => part.includes(folder)) ? [Number(name)] : []
    } catch {
      return []
    }
  })
}

/** All but what holds its network namespace. */
function killInPod(uid: string): number {
  const found = readdirSync('/proc').flatMap(name => {
    if (!/^\d+$/.test(name)) return []
    try {
      const isIn = readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(`pod${uid}`)
      return isIn && !readFileSync(`/proc/${name}/cmdline`, 'utf8').startsWith('/pause') ? [Number(name)] : []
    } catch {
      // It has ended meanwhile.
      return []
    }
  })
  for (const pid of found) kill(pid)
  return found.length
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

function removePlace({ folder, namespace }: Place): void {
  for (const controller of cgroupControllers()) removeCgroup(join('/sys/fs/cgroup', controller, namespace))
  for (const path of mountsBelow(folder).sort().reverse())
    try {
      run('umount', '-l', path)
    } catch (error) {
      // What held it ended meanwhile.
      if (mountsBelow(folder).includes(path)) throw error
    }
  if (existsSync(`/var/run/netns/${namespace}`)) run('ip', 'netns', 'delete', namespace)
  rmSync(folder, { recursive: true, force: true })
}

function mountsBelow(folder: string): string[] {
  const paths = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .flatMap(line => line.split(' ').slice(1, 2))
  return paths.filter(path => path.startsWith(`${folder}/`))
}

/** What runs in it is killed first; the folders go from the leaves up. Containerd may still be removing them at the same time. */
function removeCgroup(path: string): void {
  const entries = ifThere(() => readdirSync(path, { withFileTypes: true })) ?? []
  for (const entry of entries) if (entry.isDirectory()) removeCgroup(join(path, entry.name))
  const pids = ifThere(() => readFileSync(join(path, 'cgroup.procs'), 'utf8')) ?? ''
  for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid))
  for (let attempt = 1; existsSync(path); attempt++)
    try {
      ifThere(() => rmdirSync(path))
    } catch (error) {
      // What was killed is counted until it has ended.
      if (attempt === RMDIR_ATTEMPTS) throw error
      execFileSync('sleep', ['0.1'])
    }
}

function ifThere<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    // What fs throws; a cgroup that goes while it is read is no device any more.
    if (['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

const RMDIR_ATTEMPTS = 50

function removeLeftovers(): void {
  mkdirSync('/var/run/netns', { recursive: true })
  for (const name of readdirSync(tmpdir())) {
    const number = /^millrace-node-(\d+)-/.exec(name)?.[1]
    if (number === undefined) continue
    const folder = join(tmpdir(), name)
    const owner = existsSync(join(folder, 'owner')) ? readFileSync(join(folder, 'owner'), 'utf8') : ''
    if (existsSync(`/proc/${owner}`) && owner !== '') continue
    const place = { folder, namespace: `millrace-${number}`, node: '', outside: '' }
    for (const pid of processesNaming(folder, '')) kill(pid)
    removePlace(place)
  }
}
