import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'

/** Where the API server is, and as whom it is asked. A kubeconfig is not read: name the server and a token, or run in a pod. */
export interface KubeAuth {
  readonly url: string
  /** PEM of those who vouch for the server; undefined = those of the system. */
  readonly ca: string | undefined
  /** Asked for each call: a pod's token is replaced while it runs. */
  token(): Promise<string | undefined>
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** As a pod's service account. */
export function inCluster(env: Readonly<Record<string, string | undefined>>, folder = SERVICE_ACCOUNT): KubeAuth {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env
  if (host === undefined)
    throw new FlinkError(
      'INVALID_CONFIGURATION',
      'this is no pod (KUBERNETES_SERVICE_HOST is not set): name the API server with --kube-url and a token with --token-file',
    )
  return {
    url: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(join(folder, 'ca.crt'), 'utf8'),
    token: () => tokenFrom(join(folder, 'token')),
  }
}

/** Of the pod that this is. */
export function podNamespace(folder = SERVICE_ACCOUNT): string {
  const path = join(folder, 'namespace')
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new FlinkError('INVALID_CONFIGURATION', `this is no pod: ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`, {}, error)
  }
}

export function withToken(url: string, token: string | undefined, ca?: string): KubeAuth {
  return { url, ca, token: async () => token }
}

/** The kubelet replaces the file long before its token ends; reading it is a page of memory. */
async function tokenFrom(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim()
}
