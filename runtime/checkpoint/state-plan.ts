import { FlinkError } from '../common/errors.ts'
import { canonicalJson, type JsonValue } from '../common/json.ts'
import { type DeclaredState, isSameState, type StateKind, stateText } from '../graph/declared-state.ts'
import type { JobGraph, JobVertex, OperatorSpec } from '../graph/job-graph.ts'
import { typeText } from '../graph/type-text.ts'
import { withoutUid } from '../graph/uids.ts'
import type { TypeJson } from '../serde/type-information.ts'
import { mayBeTyped } from '../state/typed-later.ts'
import type { CheckpointBody, OperatorEntry } from './checkpoint-body.ts'

/**
 * What would become of the state in a savepoint, were a program started from it: pure, asked by `millrace state plan` and by the JobManager before it
 * deploys anything.
 *
 * Operators are matched by their id (the hash of `uid()`), states of an operator by name and namespace.
 * - kept: there on both sides, the same kind and type;
 * - new: declared, and not in the savepoint: it begins empty;
 * - dropped: in the savepoint, and not declared any more. Only with `ignore-unclaimed-state`, for it is lost;
 * - incompatible: of another kind or type, by another type of key, of other windows, or with another max parallelism. Never restored.
 * What has no contents is neither dropped nor incompatible: nothing is lost with it.
 */
export type Verdict = 'kept' | 'new' | 'dropped' | 'incompatible'

export interface StatePlan {
  /** In the order of the program; behind them those that it does not have any more. */
  readonly operators: readonly OperatorPlan[]
  /** Names of operators of the program that have state and no uid: a changed graph may give them another id. */
  readonly withoutUid: readonly string[]
}

export interface OperatorPlan {
  readonly operatorId: string
  readonly name: string
  readonly uid: string | null
  /** The worst of its states'. */
  readonly verdict: Verdict
  /** Why all of it is incompatible, whatever its states are. */
  readonly reason: string | undefined
  readonly states: readonly StatePlanEntry[]
  /** What it looks like: the same states under another uid. */
  readonly suggestion: string | undefined
}

export interface StatePlanEntry {
  readonly name: string
  readonly verdict: Verdict
  /** As texts; undefined = not there. */
  readonly saved: string | undefined
  readonly declared: string | undefined
  readonly reason: string | undefined
  readonly suggestion: string | undefined
}

/** A state as the savepoint has it. */
export interface SavedState {
  readonly name: string
  readonly kind: StateKind
  readonly type: TypeJson
  readonly namespace: TypeJson | null
}

/** What a savepoint has of an operator, over all of its subtasks. */
export interface SavedOperator {
  readonly entry: OperatorEntry
  readonly keyType: TypeJson | null
  readonly states: readonly SavedState[]
  readonly bytes: number
}

export function planState(body: CheckpointBody, jobGraph: JobGraph): StatePlan {
  const saved = new Map(savedOperators(body).map(operator => [operator.entry.operatorId, operator]))
  const specs = jobGraph.vertices.flatMap(vertex => vertex.operators.map(spec => ({ vertex, spec })))
  const present = new Set(specs.map(({ spec }) => spec.operatorId))
  const operators = specs.flatMap(({ vertex, spec }) => planOperator(vertex, spec, saved.get(spec.operatorId)))
  const dropped = [...saved.values()].filter(({ entry, states }) => !present.has(entry.operatorId) && states.length > 0)
  const plans = [...operators, ...dropped.map(droppedOperator)]
  return {
    operators: suggestUids(plans, saved, specs),
    withoutUid: withoutUid(jobGraph),
  }
}

/** Nothing is lost but what may be. */
export function isRestorable({ operators }: StatePlan, ignoresUnclaimedState: boolean): boolean {
  return operators.every(({ verdict }) => verdict !== 'incompatible' && (verdict !== 'dropped' || ignoresUnclaimedState))
}

/** Refuses a program that the state does not fit, with the first reason, before anything of it runs. Texts are Flink's where it has one. */
export function requireRestorable(plan: StatePlan, path: string, ignoresUnclaimedState: boolean): void {
  const refuse = (why: string) => new FlinkError('INVALID_PROGRAM', `Failed to rollback to checkpoint/savepoint ${path}. ${why}`)
  for (const { name, operatorId, verdict, reason, states } of plan.operators) {
    if (verdict !== 'incompatible') continue
    const state = states.find(entry => entry.verdict === 'incompatible')
    throw refuse(reason ?? `State '${state?.name}' of operator '${name}' (${operatorId}) ${state?.reason}.`)
  }
  if (ignoresUnclaimedState) return
  for (const { name, operatorId, verdict, states, suggestion } of plan.operators) {
    if (verdict !== 'dropped') continue
    const lost = states.filter(entry => entry.verdict === 'dropped')
    const allow = `If you want to allow to skip this, you can set the --allowNonRestoredState option on the CLI.${suggestion === undefined ? '' : ` ${suggestion}`}`
    if (states.every(entry => entry.declared === undefined))
      throw refuse(
        `Cannot map checkpoint/savepoint state for operator ${operatorId} ('${name}') to the new program, because the operator is not available in the new program. ${allow}`,
      )
    throw refuse(
      `Operator '${name}' (${operatorId}) does not declare ${lost.map(entry => `'${entry.name}'`).join(', ')} any more, of which there is state. ${allow}`,
    )
  }
}

function planOperator(vertex: JobVertex, spec: OperatorSpec, saved: SavedOperator | undefined): readonly OperatorPlan[] {
  if (saved === undefined && spec.states.length === 0) return []
  const states = planStates(saved, spec)
  const reason = saved === undefined || saved.states.length === 0 ? undefined : whyIncompatible(vertex, spec, saved)
  if (states.length === 0 && reason === undefined) return []
  const { operatorId, name, uid = null } = spec
  return [{ operatorId, name, uid, verdict: reason === undefined ? worst(states) : 'incompatible', reason, states, suggestion: undefined }]
}

function whyIncompatible(vertex: JobVertex, spec: OperatorSpec, { entry, keyType, states }: SavedOperator): string | undefined {
  const operator = `Operator '${spec.name}' (${spec.operatorId})`
  if (entry.maxParallelism !== vertex.maxParallelism && keyType !== null)
    return `${operator} has max parallelism ${vertex.maxParallelism}, its state was taken with ${entry.maxParallelism}: set its max parallelism to that.`
  if (vertex.parallelism > entry.maxParallelism)
    return `${operator} has parallelism ${vertex.parallelism}, which is above the max parallelism ${entry.maxParallelism} that its state was taken with.`
  if (entry.type !== spec.type && (entry.type.startsWith('source:') || spec.type.startsWith('source:')))
    return `${operator} was a ${entry.type} and is a ${spec.type} now, which cannot go on where that one was: give it another uid.`
  if (entry.windows !== undefined && spec.windows !== undefined && entry.windows !== spec.windows)
    return `${operator} had windows ${entry.windows} and has ${spec.windows} now: what those hold cannot be divided among these.`
  if (keyType === null || (spec.keyType !== null && isSame(keyType, spec.keyType))) return undefined
  // Without keyed state on the other side it is dropped.
  if (spec.keyType === null && !spec.states.some(state => states.some(other => isSameState(state, other)))) return undefined
  return `${operator} was keyed by ${typeText(keyType)} and is ${spec.keyType === null ? 'not keyed any more' : `keyed by ${typeText(spec.keyType)} now`}.`
}

function planStates(saved: SavedOperator | undefined, spec: OperatorSpec): readonly StatePlanEntry[] {
  const savedStates = saved?.states ?? []
  const declared = declaredStates(spec)
  const entries = declared.map(state =>
    entryOf(
      savedStates.find(other => isSameState(state, other)),
      state,
    ),
  )
  const rest = savedStates.filter(state => !declared.some(other => isSameState(other, state))).map(state => entryOf(state, undefined))
  return suggestNames([...entries, ...rest], [...declared, ...savedStates])
}

/** Of sources the splits that their readers have, and those that nobody has yet. */
function declaredStates({ type, source, states }: OperatorSpec): readonly DeclaredState[] {
  return source !== undefined && hasPositions(type) ? [...states, { ...enumeratorState, builtIn: true }] : states
}

function entryOf(saved: SavedState | undefined, declared: DeclaredState | undefined): StatePlanEntry {
  const name = saved?.name ?? declared?.name ?? ''
  const texts = {
    name,
    saved: saved === undefined ? undefined : stateText(saved),
    declared: declared === undefined ? undefined : stateText(declared),
    suggestion: undefined,
  }
  if (saved === undefined) return { ...texts, verdict: 'new', reason: undefined }
  if (declared === undefined) return { ...texts, verdict: 'dropped', reason: undefined }
  if (fits(saved, declared)) return { ...texts, verdict: 'kept', reason: undefined }
  const what = `was ${texts.saved} and is declared as ${texts.declared}`
  const advice =
    saved.kind === declared.kind ? 'its type cannot change' : 'its kind cannot change: give the new one another name and copy what is needed'
  return { ...texts, verdict: 'incompatible', reason: `${what}; ${advice}` }
}

function droppedOperator({ entry, states }: SavedOperator): OperatorPlan {
  const { operatorId, name, uid } = entry
  const entries = states.map(state => entryOf(state, undefined))
  return { operatorId, name, uid, verdict: 'dropped', reason: undefined, states: entries, suggestion: undefined }
}

function worst(states: readonly StatePlanEntry[]): Verdict {
  for (const verdict of ['incompatible', 'dropped', 'kept'] as const) if (states.some(state => state.verdict === verdict)) return verdict
  return 'new'
}

/** A state that is dropped and a new one of the same kind and type: perhaps its name has changed. */
function suggestNames(entries: readonly StatePlanEntry[], states: readonly SavedState[]): readonly StatePlanEntry[] {
  const free = entries.filter(({ verdict }) => verdict === 'new').map(({ name }) => name)
  return entries.map(entry => {
    if (entry.verdict !== 'dropped') return entry
    const own = states.find(({ name }) => name === entry.name)
    const at = free.findIndex(name => own !== undefined && states.some(other => other.name === name && isAlike(own, other)))
    const [name] = at < 0 ? [] : free.splice(at, 1)
    return name === undefined ? entry : { ...entry, suggestion: `was it renamed? '${name}' is new and alike` }
  })
}

/** An operator that is dropped and one whose states are all new, and the same: perhaps its uid has changed. */
function suggestUids(
  plans: readonly OperatorPlan[],
  saved: ReadonlyMap<string, SavedOperator>,
  specs: readonly { readonly spec: OperatorSpec }[],
): readonly OperatorPlan[] {
  const free = plans.filter(({ verdict, states }) => verdict === 'new' && states.length > 0)
  return plans.map(plan => {
    const lost = saved.get(plan.operatorId)
    if (plan.verdict !== 'dropped' || lost === undefined || plan.states.some(({ declared }) => declared !== undefined)) return plan
    const at = free.findIndex(({ operatorId }) => {
      const spec = specs.find(other => other.spec.operatorId === operatorId)?.spec
      return spec !== undefined && looksLike(lost, spec)
    })
    const [found] = at < 0 ? [] : free.splice(at, 1)
    if (found === undefined) return plan
    const { uid } = lost.entry
    const suggestion =
      uid === null
        ? `It looks like '${found.name}', which had no uid then: its id has changed with the graph.`
        : `It looks like '${found.name}': with .uid('${uid}') that one would have its state.`
    return { ...plan, suggestion }
  })
}

function looksLike({ states, keyType }: SavedOperator, spec: OperatorSpec): boolean {
  const declared = declaredStates(spec)
  const isDeclared = (state: SavedState) => declared.some(other => isSameState(other, state) && fits(state, other))
  return isSame(keyType, spec.keyType) && states.every(isDeclared) && states.length > 0
}

/** Of the same kind and type, or given a type since (typed-later.ts). */
function fits(saved: SavedState, { kind, type }: DeclaredState): boolean {
  if (saved.kind === kind) return mayBeTyped(saved.type, type)
  // Operator state of a function, which declares it as a list or a map.
  if (saved.kind === 'split' || saved.kind === 'union') return kind === 'list' && type.kind === 'LIST' && mayBeTyped(saved.type, type.element)
  return saved.kind === 'broadcast' && kind === 'map' && mayBeTyped(saved.type, type)
}

function isAlike(a: SavedState, b: SavedState): boolean {
  return a.kind === b.kind && isSame(a.type, b.type) && isSame(a.namespace, b.namespace)
}

function stateId({ name, kind, type, namespace }: SavedState): string {
  return canonicalJson([name, kind, type, namespace] as JsonValue)
}

function isSame(a: TypeJson | null, b: TypeJson | null): boolean {
  return canonicalJson(a as JsonValue) === canonicalJson(b as JsonValue)
}

/** What a savepoint holds; states without contents are left out, but for those that share their bytes with others. */
export function savedOperators({ operators, tasks }: CheckpointBody): readonly SavedOperator[] {
  return operators.map(entry => {
    const states = new Map<string, SavedState>()
    let keyType: TypeJson | null = null
    let bytes = 0
    for (const { vertexId, state } of tasks) {
      if (vertexId !== entry.vertexId || state === 'finished') continue
      const snapshot = state.operators.find(({ operatorId }) => operatorId === entry.operatorId)?.snapshot
      if (snapshot === undefined) continue
      const { keyed, lists } = snapshot
      if (keyed !== undefined && keyed.keyGroups.size > 0) {
        keyType = keyed.keyType
        for (const schema of keyed.schemas) states.set(stateId(schema), schema)
        for (const pieces of keyed.keyGroups.values()) for (const { length } of pieces) bytes += length
      }
      for (const { name, mode, type, items } of lists) {
        if (items.length === 0) continue
        const list: SavedState = { name, kind: mode, type, namespace: null }
        states.set(stateId(list), list)
        for (const { length } of items) bytes += length
      }
    }
    if (entry.enumerator !== null && hasPositions(entry.type)) states.set('', enumeratorState)
    return { entry, keyType, states: [...states.values()], bytes }
  })
}

function hasPositions(type: string): boolean {
  return type.startsWith('source:') && type !== 'source:function'
}

/** What a source's enumerator has still to hand out, or has handed out. */
const enumeratorState: SavedState = { name: 'SplitEnumerator', kind: 'union', type: { kind: 'GENERIC' }, namespace: null }
