import { deletionScenarios } from './deletion.ts'
import { lifeScenarios } from './life.ts'
import { recoveryScenarios } from './recovery.ts'
import type { Scenario } from './scenario.ts'
import { sessionScenarios } from './sessions.ts'
import { snapshotScenarios } from './snapshots.ts'
import { upgradeScenarios } from './upgrades.ts'
import { validationScenarios } from './validation.ts'

export const scenarios: readonly Scenario[] = [
  ...lifeScenarios,
  ...upgradeScenarios,
  ...recoveryScenarios,
  ...deletionScenarios,
  ...snapshotScenarios,
  ...validationScenarios,
  ...sessionScenarios,
]
