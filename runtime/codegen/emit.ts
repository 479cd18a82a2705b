import { assert } from '../common/assert.ts'

/**
 * The only maker of functions at run time. Source is put together from `Code` pieces and from nothing else:
 *
 * 1. a piece comes from the tag `code` (its text stands in our sources), from numbers, or from the emitter (identifiers, constants);
 *    and from `property`: a name that is nothing but letters, digits, `_` and `$`;
 * 2. every other value (a literal of the user's query, a column's name, a helper function) is a constant: it goes into an array that the
 *    function's factory receives, and the source holds its index only. So no name, quote, newline, `*` + `/` or `${}` of a user can reach source text;
 * 3. every function gets its own `//# sourceURL`: V8 shares feedback among functions of identical text, which ran 3x slower
 *    (performance.md 3.4), and a stack trace or profile names the job and the vertex.
 *
 * Invariant: a function's source is at most `SOURCE_SIZE_MAX` characters; whoever emits asks `size` and splits before (see compile-calc.ts).
 */

const brand: unique symbol = Symbol('code')

/** A piece of source text. Made by `code`, `join` and the emitter only. */
export interface Code {
  readonly [brand]: true
  readonly text: string
}

export type CodePart = Code | number | bigint

/**
 * V8 does not optimise a function of more than 60 KiB of bytecode, and gets slow at it long before: 30 KiB is the aim. `--print-bytecode` on calc loops of
 * 60 columns (INT, STRING, DOUBLE, BIGINT) counted 0.59 to 0.66 bytes of bytecode per character of source, which makes this 24 KiB.
 */
export const SOURCE_SIZE_MAX = 36_000

function make(text: string): Code {
  return Object.freeze({ [brand]: true, text }) as Code
}

/** Tag of a piece: the literal text must stand in our sources, what is put in must be a piece or a number. */
export function code(strings: TemplateStringsArray, ...parts: readonly CodePart[]): Code {
  assert(Array.isArray(strings.raw) && Object.isFrozen(strings), 'code is used as the tag of a template')
  let text = strings[0] ?? ''
  for (let i = 0; i < parts.length; i++) text += partText(parts[i] as CodePart) + (strings[i + 1] ?? '')
  return make(text)
}

export function join(parts: readonly Code[], separator: ', ' | ' && ' | ' || '): Code {
  return make(parts.map(partText).join(separator))
}

function partText(part: CodePart): string {
  if (typeof part === 'number') return numberText(part)
  if (typeof part === 'bigint') return part < 0n ? `(${part}n)` : `${part}n`
  assert(part !== null && typeof part === 'object' && part[brand] === true, 'source is put together from code pieces and numbers only')
  return part.text
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (value === Number.POSITIVE_INFINITY) return 'Infinity'
  if (value < 0 || Object.is(value, -0)) return `(-${numberText(-value)})`
  return String(value)
}

/** Where a function belongs; both parts may hold anything, only letters, digits, `_` and `-` of them are shown. */
export interface FunctionOrigin {
  readonly job: string
  readonly vertex: string
}

export interface EmittedFunction<F> {
  readonly run: F
  /** Those that `build` was asked for beside `run`, in that order. */
  readonly others: readonly unknown[]
  /** As V8 sees it, for EXPLAIN and debugging; constants show as `k[n]`. */
  readonly source: string
}

let functionCount = 0

/** Builds one function. Lines go to the current place; `open`/`close` nest. */
export class FunctionEmitter {
  private lines: string[] = []
  private readonly outerLines: string[] = []
  private readonly constants: unknown[] = []
  private readonly constantCodes = new Map<unknown, Code>()
  private identifierCount = 0
  private depth = 1
  private characters = 0

  /** Characters so far. */
  get size(): number {
    return this.characters
  }

  /** A new identifier. */
  fresh(): Code {
    return make(`v${this.identifierCount++}`)
  }

  /** Any value by reference: the same value is one constant. */
  constant(value: unknown): Code {
    // A Map tells 1 from 1n and '1', but not 0 from -0.
    const known = Object.is(value, -0) ? undefined : this.constantCodes.get(value)
    if (known !== undefined) return known
    const piece = make(`k${this.constants.length}`)
    this.constants.push(value)
    if (!Object.is(value, -0)) this.constantCodes.set(value, piece)
    return piece
  }

  /** One statement. */
  line(statement: Code): void {
    this.push(statement.text)
  }

  /** `if (…) {`, `for (…) {`. */
  open(head: Code): void {
    this.push(`${head.text} {`)
    this.depth++
  }

  /** `} else {`. */
  otherwise(): void {
    this.depth--
    this.push('} else {')
    this.depth++
  }

  close(): void {
    assert(this.depth > 1, 'a block that is closed was opened')
    this.depth--
    this.push('}')
  }

  /** `const v7 = …`; answers the identifier. */
  define(value: Code): Code {
    const name = this.fresh()
    this.push(`const ${name.text} = ${value.text}`)
    return name
  }

  /** `let v7 = …`; answers the identifier. */
  variable(value: Code): Code {
    const name = this.fresh()
    this.push(`let ${name.text} = ${value.text}`)
    return name
  }

  /** As `variable`, but of the factory: it lives from call to call, and functions of `defineFunction` see it. */
  outerVariable(value: Code): Code {
    const name = this.fresh()
    this.pushOuter([`let ${name.text} = ${value.text}`])
    return name
  }

  /** As `define`, of the factory. */
  outerDefine(value: Code): Code {
    const name = this.fresh()
    this.pushOuter([`const ${name.text} = ${value.text}`])
    return name
  }

  /** A function of the factory, beside the one that is built; answers its name. */
  defineFunction(parameters: readonly Code[], body: () => void): Code {
    const name = this.fresh()
    const { lines, depth } = this
    this.lines = []
    this.depth = 1
    body()
    assert(this.depth === 1, 'every block of a function is closed')
    this.pushOuter([`function ${name.text}(${parameters.map(({ text }) => text).join(', ')}) {`, ...this.lines, '}'])
    this.lines = lines
    this.depth = depth
    return name
  }

  /** `.shop`; a name that is no plain identifier is a constant: `[k3]`. */
  property(name: string): Code {
    return isPlainName(name) ? make(`.${name}`) : make(`[${this.constant(name).text}]`)
  }

  /** `{ shop: v1, [k3]: v2 }`. */
  objectLiteral(names: readonly string[], values: readonly Code[]): Code {
    const parts = names.map((name, i) => `${isPlainName(name) ? name : `[${this.constant(name).text}]`}: ${values[i]?.text}`)
    return make(`{ ${parts.join(', ')} }`)
  }

  build<F>(origin: FunctionOrigin, parameters: readonly Code[], others: readonly Code[] = []): EmittedFunction<F> {
    assert(this.depth === 1, 'every block of an emitted function is closed')
    const head = this.constants.map((_, i) => `const k${i} = k[${i}]`).join('\n')
    const url = `millrace/${shown(origin.job)}/${shown(origin.vertex)}/${functionCount++}`
    const outer = this.outerLines.join('\n')
    const body = this.lines.join('\n')
    const main = `function (${parameters.map(({ text }) => text).join(', ')}) {\n${body}\n}`
    const all = [main, ...others.map(({ text }) => text)].join(', ')
    const source = `'use strict'\n${head}\n${outer}\nreturn [${all}]\n//# sourceURL=${url}\n`
    assert(source.length <= SOURCE_SIZE_MAX * 2, `emitted function ${url} has ${source.length} characters; its emitter must split it`)
    // The one place where text becomes code; see the invariants above for why that is safe.
    const factory = new Function('k', source) as (constants: readonly unknown[]) => [F, ...unknown[]]
    const [run, ...functions] = factory(this.constants)
    return { run, others: functions, source }
  }

  private pushOuter(lines: readonly string[]): void {
    for (const line of lines) this.outerLines.push(line)
  }

  private push(text: string): void {
    const line = '  '.repeat(this.depth) + text
    this.characters += line.length + 1
    this.lines.push(line)
  }
}

/** Nothing but an identifier, and short; `__proto__` in a literal is no property. */
function isPlainName(name: string): boolean {
  return /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/.test(name) && name !== '__proto__'
}

function shown(name: string): string {
  const safe = name.slice(0, 60).replaceAll(/[^A-Za-z0-9_-]/g, '_')
  return safe === '' ? '_' : safe
}
