import { afterAll, describe, expect, test } from 'vitest'
import { checkpointMutations } from '../support/checkpoint-mutations.ts'
import { MutatedSources } from '../support/mutations.ts'
import { operatorMutations } from '../support/operator-mutations.ts'

describe('a promise that is broken is noticed', () => {
  const sources = new MutatedSources()
  afterAll(() => sources[Symbol.dispose]())

  test.each([...checkpointMutations, ...operatorMutations])('$what', async mutation => {
    const failures = await sources.failuresWith(mutation)
    expect(failures, 'nobody has noticed').not.toBe('')
    expect(failures).toContain(mutation.fails)
  })
})
