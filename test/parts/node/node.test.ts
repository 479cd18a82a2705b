import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildArchive } from '../../../bin/image/buildah.ts'
import { images, stageRoot } from '../../../bin/image/root-fs.ts'
import { version } from '../../../bin/version.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { startKubernetesNode } from '../../support/kubernetes-node.ts'
import { S3Server } from '../../support/s3-server.ts'

/** The test cluster itself: pods in a namespace that enforces the restricted standard, Services, DNS, Kafka and S3 from pods, and nothing left at the end. */
const IMAGE = `millrace:${version}`
const NAMESPACE = 'jobs'

/** What stays when something is left behind. */
function traces(): readonly string[] {
  const list = (command: string, ...args: readonly string[]) => execFileSync(command, args, { encoding: 'utf8' }).split('\n')
  // What has ended and was not looked at by its parent is no process any more.
  const alive = list('ps', '-eo', 'stat=,comm=').flatMap(line => (line.startsWith('Z') ? [] : line.split(/\s+/).slice(1)))
  const processes = alive.filter(name => /^(containerd|runc|kube|etcd|coredns|pause)/.test(name))
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter(line => line.includes('millrace-node'))
  const links = list('ip', '-o', 'link').filter(line => / mr[hn]\d/.test(line))
  const cgroups = readdirSync('/sys/fs/cgroup').flatMap(name =>
    readdirSync(join('/sys/fs/cgroup', name)).filter(group => group.startsWith('millrace-')),
  )
  const folders = readdirSync(tmpdir()).filter(name => name.startsWith('millrace-node-'))
  return [...processes, ...mounts, ...links, ...cgroups, ...folders, ...readdirSync('/var/run/netns')]
}

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
  const folder = mkdtempSync(join(tmpdir(), 'millrace-images-'))
  const before = traces()
  try {
    const image = images.find(({ target }) => target === 'runtime')
    if (image === undefined) throw new Error('there is a runtime image')
    await stageRoot(image, folder)
    {
      await using node = await startKubernetesNode()
      node.importImage(buildArchive(image, folder).path)
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
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  expect(traces()).toEqual(before)
})
