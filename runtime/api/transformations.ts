import { FlinkError } from '../common/errors.ts'
import { type DeclaredState, timerStates } from '../graph/declared-state.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import { rowLayout } from '../serde/row-layout.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types, typesEqual } from '../serde/types.ts'
import { declaredStates, type MapStateDescriptor, type StateDescriptor } from '../state/descriptors.ts'
import { schemaOf } from '../state/keyed-state-backend.ts'
import type { BroadcastProcessFunction, KeyedBroadcastProcessFunction } from '../stream/broadcast-functions.ts'
import { normaliseBroadcastProcess } from '../stream/broadcast-functions.ts'
import type { CheckpointedFunction } from '../stream/checkpointed-function.ts'
import type {
  AggregateFunction,
  CoFlatMapFunction,
  Collector,
  CoMapFunction,
  CoProcessFunction,
  FilterLike,
  FlatMapFunction,
  KeyedProcessLike,
  KeySpec,
  MapLike,
  ProcessLike,
  ProcessWindowLike,
  ReduceFunction,
  ReduceLike,
} from '../stream/functions.ts'
import {
  normaliseAggregate,
  normaliseCoFlatMap,
  normaliseCoMap,
  normaliseCoProcess,
  normaliseFilter,
  normaliseFlatMap,
  normaliseKeyedProcess,
  normaliseMap,
  normaliseProcess,
  normaliseProcessWindow,
  normaliseReduce,
} from '../stream/functions.ts'
import { aggregationFunction } from '../stream/operators/aggregations.ts'
import { BroadcastProcessOperator } from '../stream/operators/broadcast-process-operator.ts'
import { CoFlatMapOperator } from '../stream/operators/co-flat-map-operator.ts'
import { CoMapOperator } from '../stream/operators/co-map-operator.ts'
import { CoProcessOperator } from '../stream/operators/co-process-operator.ts'
import { FilterOperator } from '../stream/operators/filter-operator.ts'
import { FlatMapOperator } from '../stream/operators/flat-map-operator.ts'
import { isTypedKey, KeyedAggregateOperator, type KeyedAggregateSpec } from '../stream/operators/keyed-aggregate-operator.ts'
import { KeyedProcessOperator } from '../stream/operators/keyed-process-operator.ts'
import { MapOperator } from '../stream/operators/map-operator.ts'
import { ProcessOperator } from '../stream/operators/process-operator.ts'
import { ReduceOperator, reducedDescriptor } from '../stream/operators/reduce-operator.ts'
import { SplitOperator } from '../stream/operators/split-operator.ts'
import { TimestampsAndWatermarksOperator } from '../stream/operators/timestamps-and-watermarks-operator.ts'
import { type WindowFunctionSpec, WindowOperator, type WindowOperatorOptions, windowStates } from '../stream/operators/window-operator.ts'
import type { WatermarkStrategy } from '../time/watermark-strategy.ts'
import type { TumblingWindowAssigner } from '../time/windows.ts'
import type { Field } from './fields.ts'
import { checkFieldSyntax, fieldReadBy, typeOfField } from './fields.ts'
import type { StreamGraphBuilder } from './graph-builder.ts'
import type { ResolvedKey } from './keys.ts'
import type { SplitNames } from './split-names.ts'
import { defineOperator, defineRowFunction, keyed, refuseAsync } from './user-functions.ts'

/**
 * What each method of a stream adds to the graph: a definition whose factory makes the operator of one subtask. What is data and
 * decides behaviour goes through `options`; the factory closes over functions and types only.
 *
 * Functions arrive as the user wrote them (lambda or object) and are checked here: wrong shapes and async functions are refused while
 * the graph is built. Values inside are `unknown`: their types were the compiler's business in data-stream.ts, and `as never` below says
 * no more than that an operator hands a function rows of the very stream that it was written for.
 */
export type ConnectedKeys = readonly [ResolvedKey | undefined, ResolvedKey | undefined]

export type Aggregation = 'sum' | 'min' | 'max' | 'minBy' | 'maxBy'

export function map(fn: MapLike<never, unknown>, key?: ResolvedKey): OperatorDefinition {
  refuseAsync('map', fn)
  const normal = normaliseMap(fn)
  const stateKey = keyOfStates(fn, key)
  if (stateKey === undefined) return defineRowFunction('map', fn, () => new MapOperator(normal))
  return keyed(
    defineOperator('map', { map: fn }, () => new MapOperator(normal, stateKey)),
    stateKey.type,
  )
}

export function filter(fn: FilterLike<never>, key?: ResolvedKey): OperatorDefinition {
  refuseAsync('filter', fn)
  const normal = normaliseFilter(fn)
  const stateKey = keyOfStates(fn, key)
  if (stateKey === undefined) return defineRowFunction('filter', fn, () => new FilterOperator(normal))
  return keyed(
    defineOperator('filter', { filter: fn }, () => new FilterOperator(normal, stateKey)),
    stateKey.type,
  )
}

export function flatMap(fn: unknown, key?: ResolvedKey): OperatorDefinition {
  const normal = anyFlatMap(fn)
  const stateKey = keyOfStates(fn, key)
  if (stateKey === undefined) return defineRowFunction('flatMap', fn, () => new FlatMapOperator(normal))
  return keyed(
    defineOperator('flatMap', { flatMap: fn }, () => new FlatMapOperator(normal, stateKey)),
    stateKey.type,
  )
}

export function process(fn: ProcessLike<never, unknown>): OperatorDefinition {
  refuseAsync('process', fn)
  const normal = normaliseProcess(fn)
  return defineOperator('process', { process: fn }, () => new ProcessOperator(normal))
}

export function keyedProcess(fn: KeyedProcessLike<never, never, unknown>, key: ResolvedKey): OperatorDefinition {
  refuseAsync('process', fn)
  const normal = normaliseKeyedProcess(fn)
  const definition = defineOperator('keyedProcess', { process: fn, ...keySource(key) }, () => new KeyedProcessOperator(key.spec, normal))
  return keyed(definition, key.spec.type, timerStates())
}

export function reduce<T>(graph: StreamGraphBuilder, fn: ReduceLike<T>, key: ResolvedKey, type: TypeInformation): OperatorDefinition {
  refuseAsync('reduce', fn)
  const normal = normaliseReduce(fn) as ReduceFunction<unknown>
  const definition = defineOperator(
    'reduce',
    { reduce: fn, ...keySource(key) },
    () => new ReduceOperator(key.spec, normal as never, type, { finalOnly: graph.runtimeMode === 'BATCH' }),
  )
  return keyed(definition, key.spec.type, [reduced(type)])
}

export function aggregation(
  graph: StreamGraphBuilder,
  kind: Aggregation,
  field: unknown,
  key: ResolvedKey,
  type: TypeInformation,
): OperatorDefinition {
  const resolved = resolveAggregation(kind, field, type)
  const functions = { ...resolved.functions, ...keySource(key) }
  const options = () => ({ finalOnly: graph.runtimeMode === 'BATCH' })
  const typed = resolved.field === undefined ? undefined : typedAggregate(kind, resolved.field, key, type)
  const definition =
    typed === undefined
      ? defineOperator(kind, functions, () => new ReduceOperator(key.spec, resolved.fn as never, type, options()), resolved.options)
      : defineOperator(kind, functions, () => new KeyedAggregateOperator(typed, options()), resolved.options, true)
  return keyed(definition, key.spec.type, [reduced(type)])
}

/** Both operators keep the same, and are restored by each other. */
function reduced(type: TypeInformation): DeclaredState {
  return { ...schemaOf(reducedDescriptor(type)), builtIn: true }
}

export function split(names: SplitNames): OperatorDefinition {
  return defineOperator('split', { split: names.selector }, () => new SplitOperator(names.tagsOf()))
}

export function timestampsAndWatermarks(strategy: WatermarkStrategy<never>): OperatorDefinition {
  if (typeof strategy?.describe !== 'function') throw new FlinkError('INVALID_PROGRAM', 'assignTimestampsAndWatermarks takes a WatermarkStrategy')
  refuseAsync('withTimestampAssigner', strategy.timestampAssigner)
  const { kind, boundMs, functions } = strategy.describe()
  return { type: 'watermarks', options: { kind, boundMs }, functions, states: [], factory: () => new TimestampsAndWatermarksOperator(strategy) }
}

export function coMap(first: unknown, second: unknown, keys: ConnectedKeys): OperatorDefinition {
  refuseAsync('map', first, second)
  const normal = normaliseCoMap(first as CoMapFunction<unknown, unknown, unknown>, second as ((value: unknown) => unknown) | undefined)
  const stateKeys = connectedKeysOfStates(first, keys, 'map')
  const definition = defineOperator('coMap', { map: first, map2: second }, () => new CoMapOperator(normal, stateKeys))
  return stateKeys === undefined ? definition : keyed(definition, stateKeys[0].type)
}

export function coFlatMap(first: unknown, second: unknown, keys: ConnectedKeys): OperatorDefinition {
  refuseAsync('flatMap', first, second)
  const normal = normaliseCoFlatMap(
    first as CoFlatMapFunction<unknown, unknown, unknown>,
    second as ((value: unknown, out: Collector<unknown>) => void) | undefined,
  )
  const stateKeys = connectedKeysOfStates(first, keys, 'flatMap')
  const definition = defineOperator('coFlatMap', { flatMap: first, flatMap2: second }, () => new CoFlatMapOperator(normal, stateKeys))
  return stateKeys === undefined ? definition : keyed(definition, stateKeys[0].type)
}

export function coProcess(fn: CoProcessFunction<never, never, unknown, never>, keys: ConnectedKeys): OperatorDefinition {
  refuseAsync('process', fn)
  const normal = normaliseCoProcess(fn)
  const [first, second] = keys
  if (first === undefined && second === undefined) return defineOperator('coProcess', { process: fn }, () => new CoProcessOperator(normal))
  const specs = requireKeys(keys, 'process')
  const functions = { process: fn, key: first?.source, key2: second?.source }
  const definition = defineOperator('coKeyedProcess', functions, () => new CoProcessOperator(normal, specs))
  return keyed(definition, specs[0].type, timerStates())
}

/** The names of broadcast states are the operator's, whoever else has them for fields. */
export function broadcastProcess(
  fn: BroadcastProcessFunction<never, never, unknown> | KeyedBroadcastProcessFunction<never, never, never, unknown>,
  descriptors: readonly MapStateDescriptor<unknown, unknown>[],
  key?: ResolvedKey,
): OperatorDefinition {
  refuseAsync('process', fn)
  const normal = normaliseBroadcastProcess(fn)
  const definition = defineOperator(
    key === undefined ? 'broadcastProcess' : 'keyedBroadcastProcess',
    { process: fn, ...(key === undefined ? {} : keySource(key)) },
    () => new BroadcastProcessOperator(normal, descriptors, key?.spec),
  )
  const broadcasts = descriptors.map(
    (descriptor): DeclaredState => ({ ...schemaOf(descriptor as StateDescriptor), kind: 'broadcast', namespace: null }),
  )
  const states = [...broadcasts, ...definition.states.filter(({ name }) => !broadcasts.some(each => each.name === name))]
  return key === undefined ? { ...definition, states } : keyed({ ...definition, states }, key.spec.type, timerStates())
}

export function windowReduce<T>(
  assigner: TumblingWindowAssigner,
  fn: ReduceLike<T>,
  processWindow: unknown,
  key: ResolvedKey,
  type: TypeInformation,
): OperatorDefinition {
  refuseAsync('reduce', fn, processWindow)
  const normal = normaliseReduce(fn) as ReduceFunction<unknown>
  return window(assigner, { reduce: fn }, { reduce: normal as never }, processWindow, key, type, undefined)
}

export function windowAggregation(
  assigner: TumblingWindowAssigner,
  kind: Aggregation,
  field: unknown,
  key: ResolvedKey,
  type: TypeInformation,
): OperatorDefinition {
  const resolved = resolveAggregation(kind, field, type)
  return window(assigner, resolved.functions, { reduce: resolved.fn as never }, undefined, key, type, undefined, resolved.options)
}

export function windowAggregate(
  assigner: TumblingWindowAssigner,
  fn: AggregateFunction<unknown, unknown, unknown>,
  processWindow: unknown,
  key: ResolvedKey,
  type: TypeInformation,
  accumulatorType: TypeInformation | undefined,
): OperatorDefinition {
  refuseAsync('aggregate', fn, processWindow)
  return window(assigner, { aggregate: fn }, { aggregate: normaliseAggregate(fn) as never }, processWindow, key, type, accumulatorType)
}

export function windowProcess(assigner: TumblingWindowAssigner, fn: unknown, key: ResolvedKey, type: TypeInformation): OperatorDefinition {
  refuseAsync('process', fn)
  return window(assigner, {}, { elements: true }, fn, key, type, undefined)
}

/** `Window(TumblingEventTimeWindows(60000))`, as Flink names it. */
export function windowName(assigner: TumblingWindowAssigner): string {
  return `Window(${windowsText({ ...assigner, offsetMs: 0 })})`
}

/** All that decides where windows begin and end. */
function windowsText({ timeDomain, sizeMs, offsetMs }: Pick<TumblingWindowAssigner, 'timeDomain' | 'sizeMs' | 'offsetMs'>): string {
  return `Tumbling${timeDomain === 'EVENT_TIME' ? 'EventTime' : 'ProcessingTime'}Windows(${offsetMs === 0 ? sizeMs : `${sizeMs}, ${offsetMs}`})`
}

function window(
  assigner: TumblingWindowAssigner,
  functions: Readonly<Record<string, unknown>>,
  fn: WindowFunctionSpec,
  processWindow: unknown,
  key: ResolvedKey,
  valueType: TypeInformation,
  accumulatorType: TypeInformation | undefined,
  options: OperatorDefinition['options'] = {},
): OperatorDefinition {
  if (assigner?.kind !== 'tumbling')
    throw new FlinkError('INVALID_PROGRAM', 'window takes TumblingEventTimeWindows.of(…) or TumblingProcessingTimeWindows.of(…)')
  const process = processWindow === undefined ? undefined : normaliseProcessWindow(processWindow as ProcessWindowLike<unknown, unknown, unknown>)
  const parts: WindowOperatorOptions = {
    key: key.spec,
    assigner,
    function: fn,
    processWindow: process,
    valueType,
    accumulatorType: accumulatorType ?? Types.GENERIC,
  }
  const described = { timeDomain: assigner.timeDomain, sizeMs: assigner.sizeMs, offsetMs: assigner.offsetMs }
  const definition = defineOperator('window', { ...functions, processWindow, ...keySource(key) }, () => new WindowOperator(parts), {
    ...options,
    window: described,
  })
  return { ...keyed(definition, key.spec.type, windowStates(parts)), windows: windowsText(assigner) }
}

/** Where row and key have a columnar form, values are kept in typed tables. */
function typedAggregate(kind: Aggregation, field: Field, key: ResolvedKey, type: TypeInformation): KeyedAggregateSpec | undefined {
  const layout = rowLayout(type.json)
  const { columns } = key.selector
  if (layout === undefined || columns === undefined) return undefined
  const aggregated = layout.shape.kind === 'object' ? layout.shape.names.indexOf(String(field)) : (field as number)
  // A key that is changed by the aggregation would have to move.
  return columns.includes(aggregated) || !isTypedKey(layout, columns)
    ? undefined
    : { kind, field: aggregated, key: key.spec, keyColumns: columns, type, layout }
}

/** A function that only reads a field stands for that field; minBy and maxBy take any function. */
function resolveAggregation(kind: Aggregation, argument: unknown, type: TypeInformation) {
  let field: Field | undefined
  if (typeof argument === 'function') {
    field = fieldReadBy(argument as (value: never) => unknown)
    if (field === undefined) {
      if (kind !== 'minBy' && kind !== 'maxBy')
        throw new FlinkError(
          'INVALID_PROGRAM',
          `${kind} takes a function that only reads one field, such as row => row.amount: its result is written back to that field; use reduce for anything else`,
        )
      refuseAsync(kind, argument)
      return { fn: extremeBy(kind, argument as (value: unknown) => unknown), functions: { [kind]: argument }, options: {}, field: undefined }
    }
  } else if (argument !== undefined) {
    checkFieldSyntax(argument, kind)
    field = argument
  }
  if (field !== undefined) typeOfField(type, field, kind)
  return { fn: aggregationFunction(kind, field, type), functions: {}, options: { aggregation: kind, field: field ?? null }, field }
}

function extremeBy(kind: 'minBy' | 'maxBy', select: (value: unknown) => unknown): ReduceFunction<unknown> {
  // Strict comparison: among equals the first one stays.
  const wins =
    kind === 'minBy' ? (b: unknown, a: unknown) => (b as number) < (a as number) : (b: unknown, a: unknown) => (b as number) > (a as number)
  return { reduce: (a, b) => (wins(select(b), select(a)) ? b : a) }
}

function anyFlatMap(fn: unknown): FlatMapFunction<unknown, unknown> {
  refuseAsync('flatMap', fn)
  if (typeof fn === 'function' && fn.length < 2) {
    const make = fn as (value: unknown) => Iterable<unknown>
    return {
      flatMap(value, out) {
        const made = make(value)
        if (made === null || made === undefined || typeof made[Symbol.iterator] !== 'function')
          throw new FlinkError(
            'USER_FUNCTION',
            `flatMap: a function with one parameter must return an array or another iterable, got ${describe(made)}; with two, (value, out) => …, it collects`,
          )
        for (const each of made) out.collect(each)
      },
    }
  }
  return normaliseFlatMap(fn as FlatMapFunction<unknown, unknown>)
}

function describe(value: unknown): string {
  if (value instanceof Promise) return 'a promise'
  return value === null ? 'null' : typeof value
}

/** Both inputs keyed, by one type: otherwise equal keys of the two would not meet. */
function requireKeys([first, second]: ConnectedKeys, method: string): readonly [KeySpec, KeySpec] {
  if (first === undefined || second === undefined)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `${method} on connected streams with keyed state needs both of them keyed: connect two keyed streams, or use keyBy on the connected ones`,
    )
  if (!typesEqual(first.spec.type, second.spec.type))
    throw new FlinkError(
      'INVALID_PROGRAM',
      `connected streams are keyed by two types: ${first.spec.type} and ${second.spec.type}; equal keys would not meet`,
    )
  return [first.spec, second.spec]
}

/** Only a function with declared states needs the key of each row. Without a key they may be operator state, which `initializeState` gets. */
function keyOfStates(fn: unknown, key: ResolvedKey | undefined): KeySpec | undefined {
  const [state] = declaredStates(fn)
  if (state === undefined || (key === undefined && hasOperatorState(fn))) return undefined
  if (key === undefined)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `state '${state.name}' is declared by a function on a stream without keys: keyed state needs keyBy before it`,
    )
  return key.spec
}

function connectedKeysOfStates(fn: unknown, keys: ConnectedKeys, method: string): readonly [KeySpec, KeySpec] | undefined {
  if (declaredStates(fn).length === 0 || (keys[0] === undefined && keys[1] === undefined && hasOperatorState(fn))) return undefined
  return requireKeys(keys, method)
}

function hasOperatorState(fn: unknown): boolean {
  return typeof (fn as Partial<CheckpointedFunction>).initializeState === 'function'
}

function keySource(key: ResolvedKey): Readonly<Record<string, unknown>> {
  return { key: key.source ?? key.selector.description }
}
