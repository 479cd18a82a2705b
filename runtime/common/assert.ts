/** Fails on our own bugs. Always on; in the data path it is called per batch, never per record. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

export class AssertionError extends Error {
  override name = 'AssertionError'
}

/** Ends a `switch` over a union: a new member breaks the build here until it is handled. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`)
}
