import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildArchive } from '../../../bin/image/buildah.ts'
import { images, stageRoot } from '../../../bin/image/root-fs.ts'
import { version } from '../../../bin/version.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { type KubernetesNode, startKubernetesNode } from '../../support/kubernetes-node.ts'
import { nodeTraces, tracesSince } from '../../support/node-traces.ts'
import { S3Server } from '../../support/s3-server.ts'

/** The test cluster itself: pods in a namespace that enforces the restricted standard, Services, DNS, Kafka and S3 from pods, and nothing left at the end. */
const IMAGE = `millrace:${version}`
const NAMESPACE = 'jobs'
const folder = mkdtempSync(join(tmpdir(), 'millrace-images-'))
let archive: string
beforeAll(async () => {
  const image = images.find(({ target }) => target === 'runtime')
  if (image === undefined) throw new Error('there is a runtime image')
  await stageRoot(image, folder)
  archive = buildArchive(image, folder).path
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const pod = (name: string, script: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: NAMESPACE, labels: { app: name } },
  spec: {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'main',
        image: IMAGE,
        imagePullPolicy: 'Never',
        command: ['node', '-e', script],
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        ...more,
      },
    ],
  },
})

const service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'server', namespace: NAMESPACE },
  spec: { selector: { app: 'server' }, ports: [{ port: 80, targetPort: 8080 }] },
}

test('pods without any right reach each other by name, and Kafka and S3 outside; nothing is left at the end', { timeout: 180_000 }, async () => {
  const before = nodeTraces()
  {
    await using node = await startKubernetesNode()
    node.importImage(archive)
    const kafka = await KafkaBroker.start(node.outside)
    const s3 = await S3Server.start(node.outside)
    try {
      await node.kubectl(['create', 'namespace', NAMESPACE])
      await node.kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted'])
      const apply = (object: object) => node.kubectl(['apply', '-f', '-'], JSON.stringify(object))
      await apply(pod('server', "require('http').createServer((request, answer) => answer.end('from ' + process.getuid())).listen(8080)"))
      await apply(service)
      const asks = (name: string, script: string) =>
        apply(pod(name, `(async () => { ${script} })().then(text => console.log(text), error => { console.log(error); process.exitCode = 1 })`))
      await node.kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Ready', 'pod/server', '--timeout=60s'])
      await asks('client', `return (await fetch('http://server.${NAMESPACE}.svc.cluster.local')).text()`)
      await asks(
        'stores',
        `
        const { connect } = require('net')
        const reached = (host, port) => new Promise((resolve, reject) => { const socket = connect(port, host, () => { socket.destroy(); resolve('reached') }); socket.on('error', reject) })
        const [host, port] = '${kafka.bootstrapServers}'.split(':')
        return [await reached(host, Number(port)), (await fetch('${s3.endpoint}/')).status].join(' ')`,
      )
      for (const name of ['client', 'stores'])
        await node.kubectl(['-n', NAMESPACE, 'wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=60s'])
      expect((await node.kubectl(['-n', NAMESPACE, 'logs', 'client'])).trim()).toBe('from 65532')
      expect((await node.kubectl(['-n', NAMESPACE, 'logs', 'stores'])).trim()).toBe('reached 403')
      const rooted = pod('rooted', '0', { securityContext: { runAsUser: 0 } })
      await expect(apply(rooted)).rejects.toThrow('violates PodSecurity "restricted:latest"')
    } finally {
      await s3.stop()
      await kafka.close()
    }
  }
  expect(tracesSince(before)).toEqual([])
})

describe('the node alone', () => {
  let node: KubernetesNode
  beforeAll(async () => {
    node = await startKubernetesNode()
    node.importImage(archive)
    await node.kubectl(['create', 'namespace', NAMESPACE])
    await node.kubectl(['apply', '-f', '-'], JSON.stringify(pod('idle', 'setInterval(() => {}, 60_000)')))
    await node.kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Ready', 'pod/idle', '--timeout=60s'])
  }, 120_000)
  afterAll(() => node?.[Symbol.asyncDispose](), 60_000)
  const inPod = async (script: string) => (await node.kubectl(['-n', NAMESPACE, 'exec', 'idle', '--', 'node', '-e', script])).trim()

  test('who shows no certificate gets nothing of the kubelet, nobody reaches etcd, tokens are of one node; exec and logs go through the API server', async () => {
    const host = new URL(node.apiServer).hostname
    const status = `
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
      process.removeAllListeners('warning')
      const answered = async url => { try { return (await fetch(url)).status } catch (error) { return error.cause.code } }
      const urls = ['https://${host}:10250/pods', 'https://${host}:10250/exec/${NAMESPACE}/idle/main?command=id', '${node.apiServer}/api/v1/pods', 'http://${host}:2379/health', 'http://${host}:2380/']
      Promise.all(urls.map(answered)).then(answers => console.log(answers.join(' ')))`
    const refused = '401 401 403 ECONNREFUSED ECONNREFUSED'
    expect(await inPod(status)).toBe(refused)
    expect(execFileSync(process.execPath, ['-e', status], { encoding: 'utf8', stdio: 'pipe' }).trim()).toBe(refused)
    const token = /"token":"([0-9a-f]{64})"/.exec(readFileSync(node.kubeconfig, 'utf8'))?.[1]
    expect(token).toBeDefined()
    await node.kubectl(['-n', NAMESPACE, 'logs', 'idle'])
  })

  describe('NetworkPolicies', () => {
    const DENIED = 'ECONNREFUSED'
    const policy = (spec: object) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'policy', namespace: NAMESPACE },
      spec,
    })
    const apply = (object: object) => node.kubectl(['apply', '-f', '-'], JSON.stringify(object))
    const withdraw = () => node.kubectl(['-n', NAMESPACE, 'delete', 'networkpolicy', 'policy'])
    const asks = (url: string) => inPod(`fetch('${url}').then(answer => answer.text()).then(console.log, error => console.log(error.cause.code))`)
    const answers = (url: string, wanted: string) => expect.poll(() => asks(url), { timeout: 20_000 }).toBe(wanted)
    const addressOf = (name: string) => node.kubectl(['-n', NAMESPACE, 'get', 'pod', name, '-o', 'jsonpath={.status.podIP}'])

    beforeAll(async () => {
      await apply(pod('server', "require('http').createServer((request, answer) => answer.end('here')).listen(8080)"))
      await apply(service)
      await node.kubectl(['-n', NAMESPACE, 'wait', '--for=condition=Ready', 'pod/server', '--timeout=60s'])
    })

    test('into a pod: by its address and by its Service reached before, refused and counted while a policy denies it, reached again when it goes', async () => {
      const server = await addressOf('server')
      const urls = [`http://${server}:8080`, `http://server.${NAMESPACE}.svc.cluster.local`]
      for (const url of urls) await answers(url, 'here')
      expect(node.refused(server)).toEqual({ ingress: 0, egress: 0 })
      await apply(policy({ podSelector: { matchLabels: { app: 'server' } }, policyTypes: ['Ingress'] }))
      for (const url of urls) await answers(url, DENIED)
      const { ingress, egress } = node.refused(server)
      expect(ingress).toBeGreaterThanOrEqual(2)
      expect(egress).toBe(0)
      await apply(
        policy({
          podSelector: { matchLabels: { app: 'server' } },
          ingress: [{ from: [{ podSelector: { matchLabels: { app: 'idle' } } }], ports: [{ port: 8080 }] }],
        }),
      )
      for (const url of urls) await answers(url, 'here')
      await apply(
        policy({ podSelector: { matchLabels: { app: 'server' } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: 'nobody' } } }] }] }),
      )
      for (const url of urls) await answers(url, DENIED)
      await withdraw()
      for (const url of urls) await answers(url, 'here')
      expect(node.refused(server).ingress).toBeGreaterThan(ingress)
    })

    test('out of a pod: to this machine, the API server and DNS only what a policy says', async () => {
      const outside = createServer((_, answer) => answer.end('outside')).listen(0, node.outside)
      await once(outside, 'listening')
      try {
        // Node's server on an address has one.
        const url = `http://${node.outside}:${(outside.address() as AddressInfo).port}`
        const idle = await addressOf('idle')
        const reached = (port: number) =>
          inPod(
            `const socket = require('net').connect(${port}, '${new URL(node.apiServer).hostname}'); socket.on('connect', () => { console.log('reached'); socket.destroy() }); socket.on('error', error => console.log(error.code))`,
          )
        const egress = (...rules: readonly object[]) =>
          apply(policy({ podSelector: { matchLabels: { app: 'idle' } }, policyTypes: ['Egress'], egress: rules }))
        const dns = { ports: [{ protocol: 'UDP', port: 53 }] }
        await answers(url, 'outside')
        expect(await reached(6443)).toBe('reached')
        expect(node.refused(idle).egress).toBe(0)

        await egress(dns)
        await answers(url, DENIED)
        await answers(`http://server.${NAMESPACE}.svc.cluster.local`, DENIED)
        expect(await reached(6443)).toBe(DENIED)
        expect(node.refused(idle).egress).toBeGreaterThanOrEqual(3)

        await egress({ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: [`${node.outside}/32`] } }] }, dns)
        await answers(`http://server.${NAMESPACE}.svc.cluster.local`, 'here')
        expect(await reached(6443)).toBe('reached')
        expect(await asks(url)).toBe(DENIED)

        await egress({ to: [{ ipBlock: { cidr: `${node.outside}/32` } }] })
        await answers(url, 'outside')
        expect(await inPod("require('dns').promises.resolve4('kubernetes.default.svc.cluster.local').catch(error => console.log(error.code))")).toBe(
          DENIED,
        )

        await withdraw()
        await answers(`http://server.${NAMESPACE}.svc.cluster.local`, 'here')
      } finally {
        outside.close()
      }
    })

    test('policies that are made after the API server was away are enforced', async () => {
      const url = `http://${await addressOf('server')}:8080`
      await node.without('kube-apiserver', async () => {})
      await answers(url, 'here')
      await apply(policy({ podSelector: {}, policyTypes: ['Ingress'] }))
      await answers(url, DENIED)
      await withdraw()
      await answers(url, 'here')
    })
  })

  test('the API server goes and comes back, with what it knew, under the same address; pods run on', async () => {
    await node.without('kube-apiserver', async () => {
      await expect(node.kubectl(['get', 'nodes'])).rejects.toThrow('refused')
    })
    expect(
      (
        await node.kubectl(['-n', NAMESPACE, 'get', 'pod', 'idle', '-o', 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}'])
      ).trim(),
    ).toBe('Running 0')
    expect(await inPod('console.log(process.getuid())')).toBe('65532')
  })

  test('DNS goes and comes back', async () => {
    const resolve =
      "require('dns').promises.resolve4('kubernetes.default.svc.cluster.local').then(found => console.log(found.join()), error => console.log(error.code))"
    await node.without('CoreDNS', async () => {
      expect(await inPod(resolve)).toBe('ECONNREFUSED')
    })
    expect(await inPod(resolve)).toBe('10.96.0.1')
  })

  test.each(['etcd', 'containerd', 'kubelet', 'kube-proxy', 'kube-scheduler', 'kube-controller-manager'] as const)(
    '%s goes and comes back: a pod is started afterwards',
    async part => {
      await node.without(part, async () => {})
      const name = `after-${part}`
      await node.kubectl(['apply', '-f', '-'], JSON.stringify(pod(name, 'console.log(1)')))
      await node.kubectl(['-n', NAMESPACE, 'wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=60s'])
    },
  )
})
