/**
 * Controllers that die: the steps of a run that touch the world are numbered, and the process dies before or after the effect of those that a plan names. What is
 * injected here and what a test asserts about the end are the same for all controllers.
 */
export type CrashPlan = ReadonlyMap<number, 'before' | 'after'>

export class Crash extends Error {}

export function crashingSteps(plan: CrashPlan) {
  let steps = 0
  return {
    steps: () => steps,
    async step<T>(effect: () => Promise<T>): Promise<T> {
      const crash = plan.get(steps++)
      if (crash === 'before') throw new Crash()
      const result = await effect()
      if (crash === 'after') throw new Crash()
      return result
    },
  }
}

/** All plans of one crash, and of two, from step `first` up to a little behind the last one of a run without any: a run that was cut short has more steps. */
export function crashPlans(first: number, steps: number): CrashPlan[] {
  const sides = ['before', 'after'] as const
  const plans: CrashPlan[] = []
  for (let at = first; at < steps + 2; at++)
    for (const side of sides) {
      plans.push(new Map([[at, side]]))
      for (let then = at + 1; then < steps + 4; then++)
        for (const other of sides)
          plans.push(
            new Map([
              [at, side],
              [then, other],
            ]),
          )
    }
  return plans
}
