import type { ResourceRequirementsJson, RestClient } from '../../runtime/rest/types.ts'
import type { Action } from './actions.ts'

/** A running job to other parallelisms, over REST. Each request makes the job take a checkpoint and begin anew: the same is not asked for twice. */
export async function rescale(rest: RestClient, { jobId, parallelisms, again }: Extract<Action, { readonly kind: 'rescaleJob' }>): Promise<void> {
  const present = await rest.resourceRequirements(jobId)
  const wanted: ResourceRequirementsJson = Object.fromEntries(
    Object.entries(parallelisms).map(([id, upperBound]) => [
      id,
      // As Flink's operator does it: the lower bound stays where somebody has put it.
      { parallelism: { lowerBound: Math.min(present[id]?.parallelism.lowerBound ?? 1, upperBound), upperBound } },
    ]),
  )
  const isAsked = Object.entries(wanted).every(([id, { parallelism }]) => present[id]?.parallelism.upperBound === parallelism.upperBound)
  if (again || !isAsked) await rest.putResourceRequirements(jobId, wanted)
}
