import { type Outcome, outcomeOf, runScenario, type Scenario, type ScenarioWorld, type Where } from './scenario.ts'
import { simulatedWorld } from './simulated-world.ts'

/**
 * A scenario run elsewhere, and what it comes to in the simulation: two outcomes that are the same but for the fields that `differs` names. What is still on its way is
 * waited for.
 */
export async function runComparably(
  scenario: Scenario,
  world: ScenarioWorld,
  where: Where,
): Promise<{ readonly found: Partial<Outcome>; readonly wanted: Partial<Outcome> }> {
  const simulated = await runScenario(scenario, simulatedWorld())
  await runScenario(scenario, world)
  const without = (outcome: Outcome) => withoutFields(outcome, Object.keys(scenario.differs?.[where] ?? {}))
  const wanted = without(simulated.outcome)
  let found = without(await outcomeOf(world))
  await world
    .until(
      async () => {
        found = without(await outcomeOf(world))
        return JSON.stringify(found) === JSON.stringify(wanted)
      },
      async () => 'they are not the same',
      COMPARED_MS,
    )
    // The caller shows what is different.
    .catch(() => {})
  return { found, wanted }
}

const COMPARED_MS = 10_000

function withoutFields(outcome: Outcome, fields: readonly string[]): Partial<Outcome> {
  const { status, starts, ...rest } = outcome
  const kept = status === 'gone' ? status : Object.fromEntries(Object.entries(status).filter(([field]) => !fields.includes(field)))
  return { ...rest, status: kept, ...(fields.includes('starts') ? {} : { starts }) }
}
