import { canonicalJson } from '../common/json.ts'
import { expires } from '../serde/ttl-type.ts'
import type { TypeJson, TypeJsonObject } from '../serde/type-information.ts'
import { typeText } from './type-text.ts'

/**
 * A state of an operator as the graph knows it without running, and as it stands in a savepoint. Those of built-in operators are here too: contents of
 * windows, timers, what sources have still to read.
 */
export interface DeclaredState {
  readonly name: string
  readonly kind: StateKind
  /** Of what a key, or an element of a list, holds: of list and map states the whole `LIST` or `MAP`. */
  readonly type: TypeJson
  /** Keyed state only: the namespace beside the key, such as a window. */
  readonly namespace: TypeJson | null
  /** The user has not asked for it by name. */
  readonly builtIn?: true
}

/** With a key: up to `timers`. Without: lists whose elements are dealt out, or go whole to everybody; maps that all subtasks share. */
export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating' | 'timers' | 'split' | 'union' | 'broadcast'

const noType: TypeJson = { kind: 'VOID' }

/** What every keyed operator with timers has, whether or not there are any. */
export function timerStates(namespace: TypeJson = noType): readonly DeclaredState[] {
  return ['_timers/event-time', '_timers/processing-time'].map(name => ({ name, kind: 'timers', type: noType, namespace, builtIn: true }))
}

export function listState(name: string, kind: 'split' | 'union' | 'broadcast', type: TypeJson): DeclaredState {
  return { name, kind, type, namespace: null, builtIn: true }
}

/**
 * Whether a snapshot's state is the declared one, of whatever type. A list or map of a function may be keyed state, or the function's operator state, which
 * has no namespace: which of them, the function says only while it runs.
 */
export function isSameState(declared: DeclaredState, saved: { readonly name: string; readonly namespace: TypeJson | null }): boolean {
  if (declared.name !== saved.name) return false
  if (canonicalJson(declared.namespace as TypeJsonObject | null) === canonicalJson(saved.namespace as TypeJsonObject | null)) return true
  return saved.namespace === null && declared.builtIn !== true && (declared.kind === 'list' || declared.kind === 'map')
}

/** `ValueState<LONG>`, `ValueState<LONG> with TTL`, as plans and errors show it. */
export function stateText(state: Pick<DeclaredState, 'kind' | 'type'>): string {
  return expires(state.type) ? `${heldText(state)} with TTL` : heldText(state)
}

function heldText({ kind, type }: Pick<DeclaredState, 'kind' | 'type'>): string {
  switch (kind) {
    case 'value':
      return `ValueState<${typeText(type)}>`
    case 'list':
      return `ListState<${typeText(type.kind === 'LIST' ? type.element : type)}>`
    case 'map':
      return type.kind === 'MAP' ? `MapState<${typeText(type.key)}, ${typeText(type.value)}>` : `MapState<${typeText(type)}>`
    case 'reducing':
      return `ReducingState<${typeText(type)}>`
    case 'aggregating':
      return `AggregatingState<${typeText(type)}>`
    case 'timers':
      return 'timers'
    case 'split':
      return `ListState<${typeText(type)}>`
    case 'union':
      return `UnionListState<${typeText(type)}>`
    case 'broadcast':
      return type.kind === 'MAP' ? `BroadcastState<${typeText(type.key)}, ${typeText(type.value)}>` : `BroadcastState<${typeText(type)}>`
  }
}
