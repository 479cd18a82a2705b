import type { Reached } from './scenario.ts'

/** Ends that many scenarios have. */
export const conditionsAtRest = ['Ready=True Running', 'Running=True Running', 'Progressing=False AtRest', 'Degraded=False AsExpected']

/** What that generation asks for runs, and nothing is being done. */
export const running = (generation: number): Reached => ({
  lifecycle: 'STABLE',
  state: 'RUNNING',
  generation,
  conditions: conditionsAtRest,
  upgrading: false,
})

export const suspended = (generation: number): Reached => ({
  lifecycle: 'SUSPENDED',
  generation,
  conditions: ['Ready=True Suspended', 'Progressing=False AtRest'],
  upgrading: false,
})

/** It runs as it was before that edit, which is not carried out. */
export const unharmed = (generation: number, says: RegExp): Reached => ({
  lifecycle: 'STABLE',
  state: 'RUNNING',
  generation,
  conditions: ['Ready=False EditPending', 'Running=True Running', 'Degraded=False AsExpected'],
  says,
  upgrading: false,
})
