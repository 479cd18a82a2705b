import { expect, test } from 'vitest'
import { checkpointMutations } from './support/checkpoint-mutations.ts'
import { placesOf } from './support/mutations.ts'
import { operatorMutations } from './support/operator-mutations.ts'

// They are tried against real runs in `make test`; here it is only seen, in the inner loop, that the code they change has not moved on.
test.each([...checkpointMutations, ...operatorMutations])('what is to be changed stands once in its file: $what', mutation => {
  expect(placesOf(mutation)).toBe(1)
})
