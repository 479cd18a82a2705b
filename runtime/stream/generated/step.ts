import type { SinkFunctionOperator } from '../operators/sink-function-operator.ts'

/**
 * What an operator is to generated code, when it is nothing but a user's function called for each row. Operators with state, timers or keys are none
 * of these: their interpreter takes the rows.
 */
export type GeneratedStep =
  | { readonly kind: 'map'; readonly fn: { map(value: unknown): unknown } }
  | { readonly kind: 'filter'; readonly fn: { filter(value: unknown): unknown } }
  | { readonly kind: 'flatMap'; readonly fn: { flatMap(value: unknown, out: { collect(value: unknown): void }): unknown } }
  /** Ends a segment. `invoke` of its function is called by the generated code while it answers nothing; its promises are the operator's business. */
  | { readonly kind: 'sink'; readonly fn: { invoke(value: unknown, context: unknown): unknown }; readonly operator: SinkFunctionOperator }
