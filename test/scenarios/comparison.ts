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
): Promise<{ readonly found: Partial<Outcome>; readonly wanted: Partial<Outcome>; readonly unnamed: readonly string[] }> {
  const simulated = await runScenario(scenario, simulatedWorld())
  const { refusals } = await runScenario(scenario, world)
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
  return { found, wanted, unnamed: unnamed(scenario, refusals) }
}

/** What should have been refused and was not, or was and does not say for what. */
export function unnamed({ refused = [] }: Scenario, refusals: readonly string[]): readonly string[] {
  return Array.from({ length: Math.max(refused.length, refusals.length) }, (_, n) => n)
    .filter(n => refused[n] === undefined || refusals[n]?.includes(refused[n]) !== true)
    .map(n => `${refused[n] ?? 'nothing'}: ${refusals[n] ?? 'not refused'}`)
}

const COMPARED_MS = 10_000

function withoutFields(outcome: Outcome, fields: readonly string[]): Partial<Outcome> {
  const { status, starts, ...rest } = outcome
  const kept = status === 'gone' ? status : Object.fromEntries(Object.entries(status).filter(([field]) => !fields.includes(field)))
  return { ...rest, status: kept, ...(fields.includes('starts') ? {} : { starts }) }
}
