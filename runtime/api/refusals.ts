import { FlinkError } from '../common/errors.ts'

/**
 * Names that Flink's users will try and that Millrace answers with advice instead of "is not a function". They are not in the types, so
 * an editor marks them too.
 */
export function refuseByName(prototype: object, what: string, advice: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(advice)) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      value() {
        throw new FlinkError('UNSUPPORTED', `${what}.${name}: ${text}`)
      },
    })
  }
}

/** A class or namespace of Flink's that is not there: whatever is read of it, called or constructed is refused. */
export function refusedName(name: string, advice: string): Readonly<Record<string, never>> {
  const refuse = (member: string): never => {
    throw new FlinkError('UNSUPPORTED', `${name}${member}: ${advice}`)
  }
  return new Proxy(class {} as unknown as Readonly<Record<string, never>>, {
    get: (_target, property) => (typeof property === 'symbol' || property === 'then' ? undefined : refuse(`.${property}`)),
    apply: () => refuse('()'),
    construct: () => refuse(''),
  })
}
