import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crdFiles } from '../../bin/crds.ts'
import { definitions } from '../../operator/api/crd.ts'
import { API_GROUP } from '../../operator/api/fields.ts'
import { freePorts, type GuardedProcess, startGuarded } from './guarded-process.ts'
import { flags, kubeBinary, runKubectl, writeAccountKeys } from './kube-binaries.ts'

/**
 * A real kube-apiserver with its etcd on free loopback ports, without nodes, in a folder of its own; `test/parts/install-kubernetes.sh` builds it. Ready after
 * a few seconds. Users: `token` and `operatorToken` may do everything, `strangerToken` nothing that no role gives it. What the second one asks for can be noted down (`isAudited`).
 */
export interface KubeAnswer {
  readonly status: number
  readonly body: unknown
}

interface Layout {
  readonly folder: string
  readonly etcdPort: number
  readonly peerPort: number
  readonly apiPort: number
  readonly isAudited: boolean
}

/** A request that was answered. */
export interface AuditedRequest {
  readonly verb: string
  readonly objectRef?: { readonly resource: string; readonly name?: string; readonly subresource?: string }
  readonly responseStatus?: { readonly code: number }
}

export class KubeControlPlane implements AsyncDisposable {
  readonly url: string
  readonly token = 'token-of-the-admin'
  readonly operatorToken = 'token-of-the-operator'
  readonly strangerToken = 'token-of-a-stranger'
  /** PEM: of what the server shows. */
  readonly ca: string
  private readonly layout: Layout
  private readonly etcd: GuardedProcess
  private api: GuardedProcess

  private constructor(layout: Layout, etcd: GuardedProcess, api: GuardedProcess) {
    this.layout = layout
    this.etcd = etcd
    this.api = api
    this.url = `https://127.0.0.1:${layout.apiPort}`
    this.ca = readFileSync(join(layout.folder, 'certificates', 'apiserver.crt'), 'utf8')
  }

  static async start({ isAudited = false }: { readonly isAudited?: boolean } = {}): Promise<KubeControlPlane> {
    const [etcdPort, peerPort, apiPort] = (await freePorts(3)) as [number, number, number]
    const layout = { folder: mkdtempSync(join(tmpdir(), 'millrace-kube-')), etcdPort, peerPort, apiPort, isAudited }
    let etcd: GuardedProcess | undefined
    let api: GuardedProcess | undefined
    try {
      writeCredentials(layout.folder)
      etcd = await startEtcd(layout)
      api = await startApiServer(layout)
      const plane = new KubeControlPlane(layout, etcd, api)
      await plane.ready()
      return plane
    } catch (error) {
      await api?.stop()
      await etcd?.stop()
      rmSync(layout.folder, { recursive: true, force: true })
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop()
    await this.etcd.stop()
    rmSync(this.layout.folder, { recursive: true, force: true })
  }

  /** Killed, and started again over the same etcd. */
  restartApiServer(): Promise<void> {
    return this.withoutApiServer(async () => {})
  }

  /** The API server is away meanwhile. */
  async withoutApiServer(work: () => Promise<void>): Promise<void> {
    await this.api.stop()
    try {
      await work()
    } finally {
      this.api = await startApiServer(this.layout)
      await this.ready()
    }
  }

  /** Forgets all revisions before the newest: whoever watches from one of them is told that it is gone. */
  async compactEtcd(): Promise<void> {
    const etcd = async (path: string, body: object) => {
      const answer = await fetch(`http://127.0.0.1:${this.layout.etcdPort}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) })
      if (!answer.ok) throw new Error(`etcd answered ${answer.status}: ${await answer.text()}`)
      return (await answer.json()) as { readonly header: { readonly revision: string } }
    }
    const { header } = await etcd('range', { key: Buffer.from('\0').toString('base64') })
    await etcd('compaction', { revision: header.revision, physical: true })
  }

  /** What the user of `operatorToken` has asked for so far, watches when they ended. */
  audited(): readonly AuditedRequest[] {
    const lines = readFileSync(auditLog(this.layout.folder), 'utf8').split('\n').filter(Boolean)
    return lines.map(line => JSON.parse(line) as AuditedRequest)
  }

  /** One request as plain JSON. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    options: { readonly token?: string; readonly contentType?: string } = {},
  ): Promise<KubeAnswer> {
    const { token = this.token, contentType = 'application/json' } = options
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      // The length is said, for node:https sends the body of a DELETE without any frame.
      const about = payload === undefined ? {} : { 'content-type': contentType, 'content-length': payload.length }
      const headers = { authorization: `Bearer ${token}`, ...about }
      const sent = request(`${this.url}${path}`, { method, ca: this.ca, headers }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: parsed(text) }))
        answer.on('error', reject)
      })
      sent.on('error', reject)
      sent.end(payload)
    })
  }

  /** Answers what it prints; rejects with what it complains of. */
  kubectl(args: readonly string[], input = ''): Promise<string> {
    const all = [
      '--server',
      this.url,
      '--token',
      this.token,
      '--certificate-authority',
      join(this.layout.folder, 'certificates', 'apiserver.crt'),
      ...args,
    ]
    return runKubectl(all, input, this.layout.folder)
  }

  /** The kinds of Millrace are served. */
  async installDefinitions(): Promise<void> {
    await this.kubectl(['apply', '--server-side', '-f', '-'], [...crdFiles().values()].join('---\n'))
    const names = definitions.map(({ plural }) => `crd/${plural}.${API_GROUP}`)
    await this.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names])
  }

  private async ready(): Promise<void> {
    for (const endMs = Date.now() + READY_MS; ; ) {
      const answer = await this.call('GET', '/readyz').catch((error: Error) => ({ status: 0, body: error.message }))
      if (answer.status === 200) return
      if (Date.now() > endMs) throw new Error(`the kube-apiserver is not ready: ${answer.status} ${JSON.stringify(answer.body)}`)
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

const READY_MS = 60_000
function writeCredentials(folder: string): void {
  writeAccountKeys(folder)
  writeFileSync(
    join(folder, 'tokens.csv'),
    'token-of-the-admin,admin,1,system:masters\ntoken-of-a-stranger,stranger,2,\ntoken-of-the-operator,operator,3,system:masters\n',
  )
}

function startEtcd({ folder, etcdPort, peerPort }: Layout): Promise<GuardedProcess> {
  const [client, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`]
  const options = {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
    'unsafe-no-fsync': 'true',
  }
  return startGuarded([kubeBinary('etcd'), ...flags(options)], { name: 'etcd', ready: 'ready to serve client requests' })
}

function auditLog(folder: string): string {
  return join(folder, 'audit.log')
}

function startApiServer({ folder, etcdPort, apiPort, isAudited }: Layout): Promise<GuardedProcess> {
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'] }
  writeFileSync(
    join(folder, 'audit-policy.yaml'),
    JSON.stringify({ ...policy, rules: [{ level: 'Metadata', users: ['operator'] }, { level: 'None' }] }),
  )
  const options = {
    'etcd-servers': `http://127.0.0.1:${etcdPort}`,
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'secure-port': String(apiPort),
    'cert-dir': join(folder, 'certificates'),
    'token-auth-file': join(folder, 'tokens.csv'),
    'authorization-mode': 'RBAC',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': join(folder, 'accounts.pub'),
    'service-account-signing-key-file': join(folder, 'accounts.key'),
    'service-cluster-ip-range': '10.0.0.0/16',
    // Its controller, which would make the accounts, is not here.
    'disable-admission-plugins': 'ServiceAccount',
    'endpoint-reconciler-type': 'none',
    'allow-privileged': 'true',
    ...(isAudited ? { 'audit-policy-file': join(folder, 'audit-policy.yaml'), 'audit-log-path': auditLog(folder) } : {}),
  }
  return startGuarded([kubeBinary('kube-apiserver'), ...flags(options)], { name: 'kube-apiserver', ready: 'Serving securely on' })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
