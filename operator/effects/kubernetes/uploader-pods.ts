import { z } from 'zod'
import { FlinkError } from '../../../runtime/common/errors.ts'
import type { RestClient } from '../../../runtime/rest/types.ts'
import type { FlinkJobSpec } from '../../api/flink-job.ts'
import type { KubeObject } from '../../kube/object-api.ts'
import { pods } from '../../kube/resources.ts'
import { NotYet, type ProcessProblem } from '../actions.ts'
import type { ClusterScope } from './cluster-scope.ts'
import { type ClusterInput, uploaderObjects } from './objects.ts'
import { finishedMs, terminatedOf } from './planner-answer.ts'
import { asPod, endOf, podProblem } from './pods.ts'

/**
 * Programs taken to the JobManager of a session by pods, looked at and never waited for: the operator never has a bundle in its hands, and a JobManager that many jobs share
 * has no program in its own pod.
 *
 * 1. A pod is named by what it uploads. It says in its termination message which jar that is there.
 * 2. The jar is run, and pod and jar go: the cluster keeps what runs by its digest.
 * 3. A jar that is not there any more, as with another JobManager, is uploaded anew. One that could not be is a problem, in words, and tried again after RETRY_AFTER_MS.
 */
const RETRY_AFTER_MS = 10_000
const COMPONENT = 'uploader'

const answer = z.object({ kind: z.literal('uploaded'), jarId: z.string().max(256) })

export interface UploaderPodsOptions {
  readonly scope: ClusterScope
  readonly input: (spec: FlinkJobSpec) => ClusterInput & { readonly spec: FlinkJobSpec }
  readonly deadlineS: number
}

export class UploaderPods {
  private readonly options: UploaderPodsOptions

  constructor(options: UploaderPodsOptions) {
    this.options = options
  }

  /** Throws `NotYet` until the jar is there. */
  async with(rest: RestClient, spec: FlinkJobSpec, run: (jarId: string) => Promise<void>): Promise<void> {
    const { scope, input, deadlineS } = this.options
    const { objects } = scope
    const wanted = uploaderObjects(input(spec), rest.address, deadlineS)
    const wantedPod = wanted.at(-1)
    if (wantedPod === undefined) throw new Error('an uploader has a pod')
    const there = await objects.find(pods, wantedPod.metadata.name)
    if (there === undefined) {
      for (const object of wanted.slice(0, -1)) await objects.apply(object)
      await objects.createOnce(wantedPod)
      throw new NotYet('the program is on its way to the JobManager of the session')
    }
    if (!objects.isOurs(there)) throw new FlinkError('EXTERNAL_SYSTEM', objects.foreignMessage(there))
    const jarId = await this.uploaded(there)
    try {
      await run(jarId)
    } catch (error) {
      if (!(error instanceof FlinkError && error.code === 'NOT_FOUND' && error.message.includes(jarId))) throw error
      await objects.removeExactly(pods, there)
      throw new NotYet('the program is taken to the JobManager of the session once more: it is another one by now')
    }
    await objects.removeExactly(pods, there)
    // What stays behind is only untidy.
    await rest.deleteJar(jarId).catch(() => {})
  }

  problems(all: readonly KubeObject[]): readonly ProcessProblem[] {
    return all.flatMap(object => {
      const pod = asPod(object)
      return pod.metadata.labels?.['app.kubernetes.io/component'] === COMPONENT ? (podProblem(pod, COMPONENT, false) ?? []) : []
    })
  }

  private async uploaded(object: KubeObject): Promise<string> {
    const { scope } = this.options
    const pod = asPod(object)
    const { metadata, status = {} } = pod
    if (metadata.deletionTimestamp !== undefined || (status.phase !== 'Failed' && status.phase !== 'Succeeded'))
      throw new NotYet('the program is on its way to the JobManager of the session')
    const terminated = terminatedOf(pod)
    const said = status.phase === 'Succeeded' ? parsed(terminated?.message) : undefined
    if (said !== undefined) return said.jarId
    if (scope.clock.nowMs() - finishedMs(pod) > RETRY_AFTER_MS) await scope.objects.removeExactly(pods, object)
    const why = terminated === undefined ? (status.message ?? status.reason ?? 'no reason is given') : endOf(terminated)
    throw new FlinkError('EXTERNAL_SYSTEM', `the program could not be taken to the JobManager of the session (pod ${metadata.name}): ${why}`)
  }
}

function parsed(message: string | undefined): z.infer<typeof answer> | undefined {
  try {
    return answer.safeParse(JSON.parse(message ?? '')).data
  } catch {
    return undefined
  }
}
