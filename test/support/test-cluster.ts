import { execFileSync } from 'node:child_process'
import { runKubectl } from './kube-binaries.ts'
import { startKubernetesNode, type TestCluster } from './kubernetes-node.ts'

/**
 * Where tests run that need no more than a cluster: on a node of their own, or on the cluster that `make cluster-test` is pointed at.
 *
 *   MILLRACE_TEST_KUBECONFIG  its kubeconfig
 *   MILLRACE_TEST_OUTSIDE     the address by which its pods reach this machine, where the broker and the store listen
 *   MILLRACE_TEST_LOAD        the command that brings a docker-archive to its nodes; the path is appended
 */
export async function startTestCluster(): Promise<TestCluster> {
  const { MILLRACE_TEST_KUBECONFIG: kubeconfig, MILLRACE_TEST_OUTSIDE: outside, MILLRACE_TEST_LOAD: load, HOME: home = '' } = process.env
  if (kubeconfig === undefined) return startKubernetesNode()
  if (!outside || !load) throw new Error('with MILLRACE_TEST_KUBECONFIG goes MILLRACE_TEST_OUTSIDE and MILLRACE_TEST_LOAD (docs/kubernetes.md)')
  const kubectl = (args: readonly string[], input = '') => runKubectl(['--kubeconfig', kubeconfig, ...args], input, home)
  await kubectl(['version'])
  return {
    kubeconfig,
    outside,
    kubectl,
    importImage: archive => void execFileSync('/bin/sh', ['-c', `${load} "$1"`, 'load', archive], { stdio: 'inherit' }),
    // It stays; what was made on it goes by who has made it.
    [Symbol.asyncDispose]: async () => {},
  }
}

/** What only a node of our own tells, as what was asked of its API server. */
export const isOwnNode = process.env['MILLRACE_TEST_KUBECONFIG'] === undefined
