import { type Code, code, FunctionEmitter, type FunctionOrigin, SOURCE_SIZE_MAX } from '../../codegen/emit.ts'
import type { Clock } from '../../common/clock.ts'
import type { BytesColumn, Column, ColumnarFrame, ColumnKind, Validity } from '../../network/columns.ts'
import type { Expression } from '../plan/expression.ts'
import { type ColumnLocals, defineColumnLocals, ExpressionEmitter, type Register } from './emit-expression.ts'
import { allValid, BytesSink, buildColumn, bytesColumn, readValue, valuesColumn } from './frame-values.ts'
import { type Environment, rowError } from './function.ts'
import { interpretExpression } from './interpret.ts'
import { type OutputArray, OutputArrays } from './output-arrays.ts'
import { timeZone } from './time-zone.ts'
import { columnKindOfValue, isBinary, isDecimal, parseValueType, type Value, type ValueType } from './value-type.ts'

/**
 * A filter and a projection over frames. `compileCalc` makes loops of them, `interpretCalc` answers the same from trees of closures.
 *
 * 1. Columns that are projected as they are: shared by reference without a filter, gathered with one (texts keep their bytes).
 * 2. While it fits `SOURCE_SIZE_MAX`, filter and projections are one loop. Else one function selects rows and others compute some projections
 *    each; what is too large alone is interpreted.
 * 3. A row without a value (division by zero, a text that does not cast) throws SQL_RUNTIME naming the expression, its position and the row.
 */
export interface Calc {
  /** undefined: no row is left. */
  run(frame: ColumnarFrame): ColumnarFrame | undefined
  /** The generated functions one after the other; empty when interpreted. */
  readonly source: string
  /** Projections that run interpreted because they are too large for generated code. */
  readonly interpretedCount: number
}

export interface CalcOptions {
  readonly origin: FunctionOrigin
  /** `table.local-time-zone`. */
  readonly timeZone: string
  readonly clock: Clock
  /** A frame is not read any more when the next one comes: its arrays are used again. */
  readonly reuse?: boolean
}

/** What a loop leaves: `count` rows of the columns it computes. */
interface Part {
  readonly columns: Column[]
  readonly rows: Int32Array | undefined
  readonly count: number
}
type PartFunction = (frame: ColumnarFrame, rows: Int32Array | undefined, count: number) => Part

export function compileCalc(
  inputTypes: readonly string[],
  condition: Expression | null,
  projections: readonly Expression[],
  options: CalcOptions,
): Calc {
  const environment = environmentOf(options)
  const types = inputTypes.map(parseValueType)
  const outputArrays = new OutputArrays(options.reuse === true)
  const sources: string[] = []
  let interpretedCount = 0
  const emitPart = (filter: Expression | null, some: readonly Expression[], selects: boolean): PartFunction | undefined => {
    const emitted = emitCalc(types, filter, some, selects, environment, outputArrays, options.origin)
    if (emitted !== undefined) sources.push(emitted.source)
    return emitted?.run
  }
  const split = (some: readonly Expression[]): PartFunction[] => {
    const one = emitPart(null, some, false)
    if (one !== undefined) return [one]
    if (some.length > 1) return [...split(some.slice(0, some.length >> 1)), ...split(some.slice(some.length >> 1))]
    interpretedCount++
    return [interpretPart(types, some, environment)]
  }
  // Without a filter, columns that pass unchanged are no part of any loop.
  const passed = projections.map(projection =>
    condition === null && projection.kind === 'column' && isPassed(projection, types) ? projection.index : -1,
  )
  const computed = projections.filter((_, i) => passed[i] === -1)
  const whole = condition === null && computed.length === 0 ? undefined : emitPart(condition, computed, condition !== null)
  let select: PartFunction | undefined
  let parts: PartFunction[]
  if (whole !== undefined) {
    select = condition === null ? undefined : whole
    parts = condition === null ? [whole] : []
  } else {
    if (condition !== null) {
      select = emitPart(condition, [], true)
      if (select === undefined) {
        interpretedCount++
        select = interpretSelection(types, condition, environment)
      }
    }
    parts = computed.length === 0 ? [] : split(computed)
  }
  return { run: runner(select, parts, passed, environment, options.clock, outputArrays), source: sources.join('\n'), interpretedCount }
}

export function interpretCalc(
  inputTypes: readonly string[],
  condition: Expression | null,
  projections: readonly Expression[],
  options: CalcOptions,
): Calc {
  const environment = environmentOf(options)
  const types = inputTypes.map(parseValueType)
  const select = condition === null ? undefined : interpretSelection(types, condition, environment)
  const parts = [interpretPart(types, projections, environment)]
  return {
    run: runner(
      select,
      parts,
      projections.map(() => -1),
      environment,
      options.clock,
      new OutputArrays(false),
    ),
    source: '',
    interpretedCount: projections.length + (condition === null ? 0 : 1),
  }
}

export function environmentOf(options: { readonly timeZone: string }): Environment {
  return { timeZone: timeZone(options.timeZone), frameTimeMs: 0 }
}

function runner(
  select: PartFunction | undefined,
  parts: readonly PartFunction[],
  passed: readonly number[],
  environment: Environment,
  clock: Clock,
  outputArrays: OutputArrays,
): Calc['run'] {
  const places = [outputArrays.place(), outputArrays.place()] as const
  const gather = <A extends Float64Array | Uint8Array>(
    values: A | undefined,
    rows: Int32Array | undefined,
    count: number,
    make: new (count: number) => A,
    place: number,
  ): A | undefined => {
    if (values === undefined || rows === undefined) return values
    const out = outputArrays.take(place, make, count)
    for (let i = 0; i < count; i++) out[i] = values[rows[i]!]!
    return out.length === count ? out : (out.subarray(0, count) as A)
  }
  return frame => {
    environment.frameTimeMs = clock.nowMs()
    const selected = select?.(frame, undefined, frame.length)
    const rows = selected?.rows
    const count = selected === undefined ? frame.length : selected.count
    if (count === 0) return undefined
    const computed = selected === undefined ? [] : selected.columns
    for (const part of parts) computed.push(...part(frame, rows, count).columns)
    let next = 0
    const columns = passed.map(index => (index < 0 ? computed[next++] : frame.columns[index]) as Column)
    return {
      kind: 'columnar',
      length: count,
      columns,
      timestamps: gather(frame.timestamps, rows, count, Float64Array, places[0]),
      rowKinds: gather(frame.rowKinds, rows, count, Uint8Array, places[1]),
    }
  }
}

function interpretSelection(types: readonly ValueType[], condition: Expression, environment: Environment): PartFunction {
  const test = interpretExpression(condition, environment)
  return frame => {
    const rows = new Int32Array(frame.length)
    let count = 0
    for (let row = 0; row < frame.length; row++) if (atRow(row, () => test(rowValues(frame, types, row))) === true) rows[count++] = row
    return { columns: [], rows, count }
  }
}

function interpretPart(types: readonly ValueType[], projections: readonly Expression[], environment: Environment): PartFunction {
  const evaluators = projections.map(projection => ({ type: parseValueType(projection.type), run: interpretExpression(projection, environment) }))
  return (frame, rows, count) => {
    const outputs: Value[][] = evaluators.map(() => [])
    for (let i = 0; i < count; i++) {
      const row = rows === undefined ? i : (rows[i] ?? 0)
      const values = rowValues(frame, types, row)
      for (const [k, { run }] of evaluators.entries()) outputs[k]?.push(atRow(row, () => run(values)))
    }
    return { columns: evaluators.map(({ type }, k) => buildColumn(type, outputs[k] ?? [])), rows, count }
  }
}

function atRow(row: number, run: () => Value): Value {
  try {
    return run()
  } catch (error) {
    throw rowError(error, row)
  }
}

function rowValues(frame: ColumnarFrame, types: readonly ValueType[], row: number): Value[] {
  return types.map((type, i) => readValue(frame.columns[i] as Column, type, row))
}

/** An output column while its loop runs. */
interface Output {
  readonly kind: ColumnKind
  readonly type: ValueType
  readonly values: Code
  readonly starts: Code
  readonly lengths: Code
  readonly validity: Code
  /** Shares the bytes of an input column. */
  slices: boolean
  shared: Code | undefined
}

/**
 * One loop; undefined when it is too large. With `selects` it answers the selected rows too. Without a filter of its own it walks `rows`, or all.
 */
function emitCalc(
  types: readonly ValueType[],
  condition: Expression | null,
  projections: readonly Expression[],
  selects: boolean,
  environment: Environment,
  outputArrays: OutputArrays,
  origin: FunctionOrigin,
): { readonly run: PartFunction; readonly source: string } | undefined {
  const emitter = new FunctionEmitter()
  const [frame, rows, rowCount] = [emitter.fresh(), emitter.fresh(), emitter.fresh()]
  const gathers = selects || condition !== null
  const used = new Set<number>()
  if (condition !== null) addColumns(condition, used)
  const early = [...used]
  for (const projection of projections) addColumns(projection, used)
  const locals = new Map<number, ColumnLocals>()
  for (const index of used) locals.set(index, defineColumnLocals(emitter, frame, index, types[index] as ValueType))
  const newArray: NewArray = make => code`${emitter.constant(outputArrays)}.take(${outputArrays.place()}, ${emitter.constant(make)}, ${rowCount})`
  const outputs = projections.map(projection => defineOutput(emitter, newArray, parseValueType(projection.type)))
  const selected = selects ? emitter.define(newArray(Int32Array)) : undefined
  const out = emitter.variable(code`0`)
  const row = emitter.variable(code`0`)
  emitter.open(code`try`)
  emitter.open(code`for (let i = 0; i < ${rowCount}; i++)`)
  emitter.line(gathers ? code`${row} = i` : code`${row} = ${rows} === undefined ? i : ${rows}[i]`)
  const expressions = new ExpressionEmitter(emitter, locals, frame, row, environment)
  if (condition !== null) {
    for (const index of early) expressions.load(index)
    const test = expressions.emit(condition)
    emitter.line(test.isNull === undefined ? code`if (!(${test.code})) continue` : code`if ((${test.isNull}) || !(${test.code})) continue`)
  }
  if (selected !== undefined) emitter.line(code`${selected}[${out}] = ${row}`)
  for (const index of used) expressions.load(index)
  for (const [i, projection] of projections.entries()) {
    writeOutput(emitter, outputs[i] as Output, expressions.emit(projection), out, rowCount, newArray)
    if (emitter.size > SOURCE_SIZE_MAX) return undefined
  }
  emitter.line(code`${out}++`)
  emitter.close()
  emitter.close()
  emitter.open(code`catch (error)`)
  emitter.line(code`throw ${emitter.constant(rowError)}(error, ${row})`)
  emitter.close()
  const columns = outputs.map(output => finishOutput(emitter, output, out))
  const list = emitter.define(code`[]`)
  for (const column of columns) emitter.line(code`${list}.push(${column})`)
  emitter.line(code`return { columns: ${list}, rows: ${selected ?? rows}, count: ${out} }`)
  if (emitter.size > SOURCE_SIZE_MAX) return undefined
  const loop = emitter.build<PartFunction>(origin, [frame, rows, rowCount])
  return loop
}

function isPassed(projection: Expression, types: readonly ValueType[]): boolean {
  return projection.kind === 'column' && types[projection.index]?.root === parseValueType(projection.type).root
}

function addColumns(expression: Expression, into: Set<number>): void {
  if (expression.kind === 'column') into.add(expression.index)
  else if (expression.kind === 'call') for (const argument of expression.arguments) addColumns(argument, into)
}

const arrays = { bool: Uint8Array, i32: Int32Array, f64: Float64Array, i64: BigInt64Array } as const

type NewArray = (make: new (rows: number) => OutputArray) => Code

function defineOutput(emitter: FunctionEmitter, newArray: NewArray, type: ValueType): Output {
  const kind = columnKindOfValue(type)
  const validity = emitter.variable(code`undefined`)
  if (kind !== 'bytes') {
    const values = emitter.define(newArray(arrays[kind]))
    return { kind, type, values, starts: values, lengths: values, validity, slices: false, shared: undefined }
  }
  // Whether its bytes are an input's or its own is known when its expression is emitted; empty locals cost nothing.
  const values = emitter.variable(code`undefined`)
  return {
    kind,
    type,
    values,
    starts: emitter.variable(code`undefined`),
    lengths: emitter.variable(code`undefined`),
    validity,
    slices: false,
    shared: undefined,
  }
}

function writeOutput(emitter: FunctionEmitter, output: Output, value: Register, out: Code, rowCount: Code, newArray: NewArray): void {
  const { isNull } = value
  if (isNull !== undefined) {
    emitter.open(code`if (${isNull})`)
    emitter.line(code`if (${output.validity} === undefined) ${output.validity} = ${emitter.constant(allValid)}(${rowCount})`)
    emitter.line(code`${output.validity}[${out} >> 3] &= ~(1 << (${out} & 7))`)
    emitter.otherwise()
  }
  if (output.kind === 'bool') emitter.line(code`${output.values}[${out}] = ${value.code} ? 1 : 0`)
  else if (output.kind !== 'bytes') emitter.line(code`${output.values}[${out}] = ${value.code}`)
  else if (value.slice !== undefined && sameBytes(value.type, output.type)) {
    output.slices = true
    output.shared = value.slice.data
    emitter.line(
      code`if (${output.starts} === undefined) { ${output.starts} = ${newArray(Int32Array)}; ${output.lengths} = ${newArray(Int32Array)} }`,
    )
    emitter.line(code`${output.starts}[${out}] = ${value.slice.start}`)
    emitter.line(code`${output.lengths}[${out}] = ${value.slice.length}`)
  } else {
    emitter.line(code`if (${output.values} === undefined) ${output.values} = ${newArray(BytesSink)}`)
    if (isBinary(output.type)) emitter.line(code`${output.values}.bytes(${out}, ${value.code})`)
    else
      emitter.line(
        isDecimal(output.type) ? code`${output.values}.decimal(${out}, ${value.code})` : code`${output.values}.text(${out}, ${value.code})`,
      )
  }
  if (isNull !== undefined) emitter.close()
}

const sameBytes = (from: ValueType, to: ValueType): boolean => isDecimal(from) === isDecimal(to)

function finishOutput(emitter: FunctionEmitter, output: Output, out: Code): Code {
  const { kind, values, starts, lengths, validity } = output
  if (kind !== 'bytes') return emitter.define(code`${emitter.constant(valuesColumn)}(${emitter.constant(kind)}, ${values}, ${validity}, ${out})`)
  if (output.slices)
    return emitter.define(code`${emitter.constant(finishSlices)}(${output.shared ?? values}, ${starts}, ${lengths}, ${validity}, ${out})`)
  return emitter.define(code`${emitter.constant(finishSink)}(${values}, ${validity}, ${out})`)
}

function finishSlices(
  data: Uint8Array,
  starts: Int32Array | undefined,
  lengths: Int32Array | undefined,
  validity: Validity,
  count: number,
): BytesColumn {
  return bytesColumn(data, starts ?? new Int32Array(count), lengths ?? new Int32Array(count), validity, count)
}

function finishSink(sink: BytesSink | undefined, validity: Validity, count: number): BytesColumn {
  const used = sink ?? new BytesSink(count)
  return bytesColumn(used.data.subarray(0, used.used), used.starts, used.lengths, validity, count)
}
