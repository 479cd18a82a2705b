import { type Code, code, type FunctionEmitter, join } from '../../codegen/emit.ts'
import { assert } from '../../common/assert.ts'
import type { Call, Expression } from '../plan/expression.ts'
import { bindCall, definitionOf, literalValue } from './bind-call.ts'
import { isSameRepresentation } from './casts.ts'
import { decodeBytes, decodeDecimal, decodeText, SplitResult, sliceCodePoints, sliceEquals, splitSlice } from './frame-values.ts'
import type { BoundCall, Environment, ScalarFunction } from './function.ts'
import { columnKindOfValue, isBinary, isDecimal, isText, parseValueType, type Value, type ValueType } from './value-type.ts'

/**
 * Expressions as statements of a loop over rows. Each value is a `Register`: an expression that is cheap to repeat, and when it is null. A register
 * of a null row holds anything of its JS type, so that arithmetic on it is harmless and needs no branch; what could fail, call out or decode text is
 * guarded by its nullness. Arguments of AND, OR, CASE, COALESCE and IF are emitted inside the branch that needs them.
 */
export interface Register {
  readonly code: Code
  /** undefined: never null. */
  readonly isNull: Code | undefined
  readonly type: ValueType
  /** Texts and bytes that lie in an input column: passed on and compared without decoding. */
  readonly slice: Slice | undefined
}

export interface Slice {
  readonly column: number
  readonly data: Code
  readonly start: Code
  readonly length: Code
}

const never = code`false`
const always = code`true`

/** The arrays of an input column as locals of the function, made before its loop. */
export interface ColumnLocals {
  readonly type: ValueType
  readonly values: Code
  readonly validity: Code
  readonly starts: Code
  readonly lengths: Code
}

export function defineColumnLocals(emitter: FunctionEmitter, frame: Code, index: number, type: ValueType): ColumnLocals {
  const column = emitter.define(code`${frame}.columns[${index}]`)
  const validity = emitter.define(code`${column}.validity`)
  if (columnKindOfValue(type) !== 'bytes') {
    const values = emitter.define(code`${column}.values`)
    return { type, values, validity, starts: values, lengths: values }
  }
  const values = emitter.define(code`${column}.data`)
  return { type, values, validity, starts: emitter.define(code`${column}.starts`), lengths: emitter.define(code`${column}.lengths`) }
}

export class ExpressionEmitter {
  private readonly loaded = new Map<number, Register>()
  private readonly emitter: FunctionEmitter
  private readonly columns: ReadonlyMap<number, ColumnLocals>
  private readonly row: Code
  private readonly environment: Environment
  private readonly frame: Code
  private readonly splitResults = new Map<string, SplitResult>()

  constructor(emitter: FunctionEmitter, columns: ReadonlyMap<number, ColumnLocals>, frame: Code, row: Code, environment: Environment) {
    this.frame = frame
    this.emitter = emitter
    this.columns = columns
    this.row = row
    this.environment = environment
  }

  /** Reads a column at the current row; only where every later use is inside this block. */
  load(index: number): void {
    if (this.loaded.has(index)) return
    const locals = this.columns.get(index)
    assert(locals !== undefined, `column ${index} has locals`)
    const { emitter, row } = this
    const { type, values, validity } = locals
    const isNull =
      type.root === 'NULL'
        ? always
        : type.nullable
          ? emitter.define(code`${validity} !== undefined && (${validity}[${row} >> 3] & (1 << (${row} & 7))) === 0`)
          : undefined
    const kind = columnKindOfValue(type)
    if (kind !== 'bytes') {
      const value = emitter.define(kind === 'bool' ? code`${values}[${row}] === 1` : code`${values}[${row}]`)
      this.loaded.set(index, { code: value, isNull, type, slice: undefined })
      return
    }
    const slice = {
      column: index,
      data: values,
      start: emitter.define(code`${locals.starts}[${row}]`),
      length: emitter.define(code`${locals.lengths}[${row}]`),
    }
    this.loaded.set(index, this.sliceRegister(slice, isNull, type))
  }

  emit(expression: Expression): Register {
    if (expression.kind === 'column') {
      const register = this.loaded.get(expression.index)
      assert(register !== undefined, `column ${expression.index} is loaded`)
      return register
    }
    if (expression.kind === 'literal') return this.literal(literalValue(expression), parseValueType(expression.type))
    const definition = definitionOf(expression)
    if (definition.nulls === 'lazy') return this.lazy(expression)
    const args = expression.arguments.map(argument => this.emit(argument))
    return this.special(expression, args) ?? this.call(definition, bindCall(expression), args)
  }

  private literal(value: Value, type: ValueType): Register {
    const isNull = value === null ? always : undefined
    const shown =
      value === null
        ? this.defaultOf(type)
        : typeof value === 'number' || typeof value === 'bigint'
          ? code`${value}`
          : typeof value === 'boolean'
            ? value
              ? always
              : never
            : this.emitter.constant(value)
    return { code: shown, isNull, type, slice: undefined }
  }

  /** Inline forms that the table's fragments cannot say: nullness, and texts that stay bytes. */
  private special(expression: Call, args: readonly Register[]): Register | undefined {
    const [a, b] = args
    const type = parseValueType(expression.type)
    const plain = (value: Code): Register => ({ code: value, isNull: undefined, type, slice: undefined })
    if (a === undefined) return undefined
    switch (expression.name) {
      case 'CAST':
      case 'TRY_CAST':
        return isSameRepresentation(a.type, type) ? { ...a, type } : undefined
      case 'IS NULL':
        return plain(a.isNull ?? never)
      case 'IS NOT NULL':
        return plain(a.isNull === undefined ? always : code`!${parens(a.isNull)}`)
      case 'IS TRUE':
        return plain(a.isNull === undefined ? a.code : code`(!${parens(a.isNull)} && ${a.code})`)
      case 'IS NOT TRUE':
        return plain(a.isNull === undefined ? code`!${parens(a.code)}` : code`(${a.isNull} || !${parens(a.code)})`)
      case 'IS FALSE':
        return plain(a.isNull === undefined ? code`!${parens(a.code)}` : code`(!${parens(a.isNull)} && !${parens(a.code)})`)
      case 'IS NOT FALSE':
        return plain(a.isNull === undefined ? a.code : code`(${a.isNull} || ${a.code})`)
      case '=':
      case '<>':
        return b === undefined || !isText(a.type) ? undefined : this.textEquality(expression, a, b, type)
      case 'CHAR_LENGTH':
      case 'CHARACTER_LENGTH': {
        const { slice } = a
        if (slice === undefined) return undefined
        return this.guarded(type, [a], () => code`${this.emitter.constant(sliceCodePoints)}(${slice.data}, ${slice.start}, ${slice.length})`)
      }
      case 'SPLIT_INDEX':
        return this.splitIndex(expression, args, type)
      default:
        return undefined
    }
  }

  private textEquality(expression: Call, a: Register, b: Register, type: ValueType): Register | undefined {
    const other = (index: number) => {
      const argument = expression.arguments[index]
      const value = argument?.kind === 'literal' ? literalValue(argument) : undefined
      return typeof value === 'string' ? new TextEncoder().encode(value) : undefined
    }
    const [left, right] = [a.slice, b.slice]
    const equals = this.emitter.constant(sliceEquals)
    const sign = expression.name === '=' ? code`` : code`!`
    const compare = (slice: Slice, bytes: Uint8Array) =>
      this.guarded(
        type,
        [a, b],
        () => code`${sign}${equals}(${slice.data}, ${slice.start}, ${slice.length}, ${this.emitter.constant(bytes)}, 0, ${bytes.length})`,
      )
    if (left !== undefined && right !== undefined)
      return this.guarded(
        type,
        [a, b],
        () => code`${sign}${equals}(${left.data}, ${left.start}, ${left.length}, ${right.data}, ${right.start}, ${right.length})`,
      )
    const [leftBytes, rightBytes] = [other(0), other(1)]
    if (left !== undefined && rightBytes !== undefined) return compare(left, rightBytes)
    return right !== undefined && leftBytes !== undefined ? compare(right, leftBytes) : undefined
  }

  private splitIndex(expression: Call, args: readonly Register[], type: ValueType): Register | undefined {
    const [text, , index] = args
    const separator = expression.arguments[1]
    const by = separator?.kind === 'literal' ? literalValue(separator) : undefined
    const slice = text?.slice
    if (text === undefined || index === undefined || slice === undefined || typeof by !== 'string' || by.length !== 1 || by.charCodeAt(0) > 127)
      return undefined
    const { emitter } = this
    const found = emitter.constant(this.splitResult(slice.start, by))
    const start = emitter.variable(code`0`)
    const length = emitter.variable(code`0`)
    const isNull = emitter.variable(always)
    const nullness = anyNull([text, index])
    const test = code`${emitter.constant(splitSlice)}(${slice.data}, ${slice.start}, ${slice.length}, ${by.charCodeAt(0)}, ${index.code}, ${found}, ${this.frame}, ${this.row})`
    emitter.open(nullness === undefined ? code`if (${test})` : code`if (!(${nullness}) && ${test})`)
    emitter.line(code`${start} = ${found}.start`)
    emitter.line(code`${length} = ${found}.length`)
    emitter.line(code`${isNull} = false`)
    emitter.close()
    return this.sliceRegister({ column: slice.column, data: slice.data, start, length }, isNull, type)
  }

  /** Shared by the calls over one text: its start is a local of its own. */
  private splitResult(start: Code, separator: string): SplitResult {
    const key = `${start.text} ${separator}`
    const result = this.splitResults.get(key) ?? new SplitResult()
    this.splitResults.set(key, result)
    return result
  }

  private sliceRegister(slice: Slice, isNull: Code | undefined, type: ValueType): Register {
    const { emitter } = this
    // Decoded at the first use in the row, wherever that is; undefined until then.
    const memo = emitter.fresh()
    emitter.line(code`let ${memo}`)
    const decode = emitter.constant(isDecimal(type) ? decodeDecimal : isBinary(type) ? decodeBytes : decodeText)
    return { code: code`(${memo} ??= ${decode}(${slice.data}, ${slice.start}, ${slice.length}))`, isNull, type, slice }
  }

  private call(definition: ScalarFunction, call: BoundCall, args: readonly Register[]): Register {
    const { emitter } = this
    const run = () => emitter.constant(definition.bind(call, this.environment))
    if (definition.nulls === 'own') {
      const passed = args.map(arg => (arg.isNull === undefined ? arg.code : code`(${arg.isNull} ? null : ${arg.code})`))
      const result = emitter.define(code`${run()}(${join(passed, ', ')})`)
      if (!call.type.nullable) return { code: result, isNull: undefined, type: call.type, slice: undefined }
      const isNull = emitter.define(code`${result} === null`)
      return { code: emitter.define(code`${isNull} ? ${this.defaultOf(call.type)} : ${result}`), isNull, type: call.type, slice: undefined }
    }
    const codes = args.map(arg => arg.code)
    const fragment = definition.emit?.(call, codes, emitter)
    const value = () => fragment ?? code`${run()}(${join(codes, ', ')})`
    // A fragment of numbers may run on the garbage of a null row; anything else may not.
    const harmless = fragment !== undefined && definition.throws !== true && args.every(arg => arg.isNull === undefined || !isLazy(arg.type))
    if (harmless) {
      const nullness = anyNull(args)
      return { code: emitter.define(fragment), isNull: nullness && emitter.define(nullness), type: call.type, slice: undefined }
    }
    return this.guarded(call.type, args, value, fragment === undefined && definition.answersNull === true)
  }

  /** `value()` where no argument is null. */
  private guarded(type: ValueType, args: readonly Register[], value: () => Code, answersNull = false): Register {
    const { emitter } = this
    const nullness = anyNull(args)
    if (nullness === undefined && !answersNull) return { code: emitter.define(value()), isNull: undefined, type, slice: undefined }
    const result = emitter.variable(this.defaultOf(type))
    const isNull = emitter.variable(always)
    if (nullness !== undefined) emitter.open(code`if (!(${nullness}))`)
    const answer = emitter.define(value())
    if (answersNull) emitter.open(code`if (${answer} !== null)`)
    emitter.line(code`${result} = ${answer}`)
    emitter.line(code`${isNull} = false`)
    if (answersNull) emitter.close()
    if (nullness !== undefined) emitter.close()
    return { code: result, isNull, type, slice: undefined }
  }

  private lazy(expression: Call): Register {
    const type = parseValueType(expression.type)
    switch (expression.name) {
      case 'AND':
      case 'OR':
        return this.logic(expression, type)
      case 'CASE':
      case 'IF':
        return this.branches(expression.arguments, type)
      default:
        return this.coalesce(expression.arguments, type)
    }
  }

  private logic({ name, arguments: operands }: Call, type: ValueType): Register {
    const { emitter } = this
    const isAnd = name === 'AND'
    // `open`: not decided yet.
    const open = emitter.variable(always)
    const unknown = emitter.variable(never)
    for (const [i, operand] of operands.entries()) {
      if (i > 0) emitter.open(code`if (${open})`)
      const { code: value, isNull } = this.emit(operand)
      const decided = isAnd ? code`!${parens(value)}` : value
      if (isNull === undefined) emitter.line(code`if (${decided}) ${open} = false`)
      else emitter.line(code`if (${isNull}) ${unknown} = true; else if (${decided}) ${open} = false`)
      if (i > 0) emitter.close()
    }
    return { code: isAnd ? open : code`!${open}`, isNull: code`(${open} && ${unknown})`, type, slice: undefined }
  }

  private branches(args: readonly Expression[], type: ValueType): Register {
    const { emitter } = this
    const result = emitter.variable(this.defaultOf(type))
    const isNull = emitter.variable(never)
    let depth = 0
    let i = 0
    for (; i + 1 < args.length; i += 2) {
      const condition = this.emit(args[i] as Expression)
      emitter.open(condition.isNull === undefined ? code`if (${condition.code})` : code`if (!${parens(condition.isNull)} && ${condition.code})`)
      this.assign(result, isNull, this.emit(args[i + 1] as Expression))
      emitter.otherwise()
      depth++
    }
    this.assign(result, isNull, this.emit(args[i] as Expression))
    for (; depth > 0; depth--) emitter.close()
    return { code: result, isNull, type, slice: undefined }
  }

  private coalesce(args: readonly Expression[], type: ValueType): Register {
    const { emitter } = this
    const result = emitter.variable(this.defaultOf(type))
    const isNull = emitter.variable(always)
    for (const [i, argument] of args.entries()) {
      if (i > 0) emitter.open(code`if (${isNull})`)
      this.assign(result, isNull, this.emit(argument))
    }
    for (let i = 1; i < args.length; i++) emitter.close()
    return { code: result, isNull, type, slice: undefined }
  }

  private assign(result: Code, isNull: Code, value: Register): void {
    if (value.isNull === undefined) {
      this.emitter.line(code`${result} = ${value.code}`)
      this.emitter.line(code`${isNull} = false`)
      return
    }
    this.emitter.line(code`if (${value.isNull}) ${isNull} = true; else { ${isNull} = false; ${result} = ${value.code} }`)
  }

  private defaultOf(type: ValueType): Code {
    if (isText(type)) return this.emitter.constant('')
    if (isBinary(type)) return this.emitter.constant(noBytes)
    if (type.root === 'BOOLEAN') return never
    return type.root === 'BIGINT' || isDecimal(type) ? code`0n` : code`0`
  }
}

const noBytes = new Uint8Array(0)

const parens = (piece: Code): Code => code`(${piece})`

/** Read from bytes only when needed. */
const isLazy = (type: ValueType): boolean => columnKindOfValue(type) === 'bytes'

function anyNull(args: readonly Register[]): Code | undefined {
  const parts = args.flatMap(arg => (arg.isNull === undefined ? [] : [arg.isNull]))
  return parts.length === 0 ? undefined : join(parts, ' || ')
}
