import type { Mutation } from './mutations.ts'

/** Promises of the operator broken in its own code: that they are kept is seen by killing it at each call, and by each call going wrong. */
const crashes = { testFile: 'test/sim/operator-crashes.test.ts', seeds: '2000', fails: 'wherever the operator is killed' }

export const operatorMutations: readonly Mutation[] = [
  {
    what: 'a Conflict that starting processes meets with fails the job for good',
    file: 'operator/job/controller.ts',
    find: " && code !== 'CONFLICT')",
    replace: ')',
    testFile: 'operator/job/controller.test.ts',
    fails: 'is no refusal',
  },
  {
    what: 'an upgrade begins a new job, without what the savepoint has',
    file: 'operator/job/upgrade.ts',
    find: '...(isNewJob ? { jobId: input.freshJobId } : jobStatus),',
    replace: '...jobStatus, jobId: input.freshJobId,',
    ...crashes,
  },
]
