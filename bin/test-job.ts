import { Terminal } from '../operator/cli/terminal.ts'
import { runTestJob, type TestJobRequest } from '../operator/cli/test-job.ts'
import { KubeApi } from '../operator/kube/kube-api.ts'
import { inCluster, podNamespace } from '../operator/kube/kube-auth.ts'
import { systemClock as clock } from '../runtime/common/clock.ts'
import { systemRandom as random } from '../runtime/common/random.ts'

/** In a pod, by its service account. */
export async function testJob(request: TestJobRequest, env: NodeJS.ProcessEnv): Promise<number> {
  const api = new KubeApi({ auth: inCluster(env), clock, random })
  const write = (text: string) => void process.stdout.write(text)
  const terminal = new Terminal({ write: async text => write(text), writeError: write, isTerminal: false, columns: () => 80 })
  try {
    return await runTestJob(request, { api, namespace: podNamespace(), clock, terminal })
  } finally {
    api.close()
  }
}
