import { withDefaults } from '../../operator/cli/admission.ts'
import type { CallFault } from '../support/manager-world.ts'
import { ManagerWorld } from '../support/manager-world.ts'
import { teachPrograms } from './programs.ts'
import { type ScenarioWorld, sightOf } from './scenario.ts'

/** A scenario on simulated time. `faults` go wrong as ManagerWorld says. */
export interface SimulatedWorld extends ScenarioWorld {
  readonly manager: ManagerWorld
}

const NAME = 'job'
const STEP_MS = 50
/** Many passes. */
const SETTLED_MS = 30_000
const LIMIT_MS = 3_600_000

export function simulatedWorld(faults?: ReadonlyMap<number, CallFault>): SimulatedWorld {
  const manager = new ManagerWorld(faults, { prepare: teachPrograms, admit: withDefaults, actionMs: 20 })
  const { clock, server } = manager
  const cluster = manager.clusterOf(NAME)
  manager.start()
  const until: ScenarioWorld['until'] = async (look, about, limitMs = LIMIT_MS) => {
    const endMs = clock.monotonicMs() + limitMs
    while (!(await look())) {
      if (clock.monotonicMs() > endMs) throw new Error(await about())
      let steps = 0
      await clock.runUntil(() => steps++ > 0, STEP_MS)
    }
  }
  const world: SimulatedWorld = {
    manager,
    server,
    namespace: 'default',
    name: NAME,
    options: {},
    apply: object => server.apply(object, 'kubectl'),
    until,
    // A step of the clock at a time, none is missed.
    witness: (look, about) => until(async () => look(await sightOf(world)), about),
    settled: () => clock.run(SETTLED_MS),
    async kill(what) {
      if (what === 'jobmanager') cluster.loseJobManager()
      else if (what === 'taskmanager') cluster.loseTaskManager()
      else manager.dieAndReturn()
    },
    async savepoints(how) {
      cluster.savepointFailure = how === 'fail' ? 'Exception: the store is away' : undefined
    },
    hasCheckpointed: async () => true,
    starts: () => cluster.starts,
    violations: () => cluster.violations,
  }
  return world
}
