import type { Call, Expression } from '../plan/expression.ts'
import { literalValue } from './bind-call.ts'
import { isCastable } from './casts.ts'
import { scalarFunction } from './function-table.ts'
import { parseValueType, typeText, type ValueType, withNullable } from './value-type.ts'

/** A typed call of a scalar function, its implicit casts made explicit; undefined when the function takes no such arguments. The planner's door. */
export function resolveCall(name: string, args: readonly Expression[], position: string): Call | undefined {
  const resolved = scalarFunction(name)?.resolve(
    args.map(arg => ({ type: parseValueType(arg.type), literal: arg.kind === 'literal' ? literalValue(arg) : undefined })),
  )
  if (resolved === undefined) return undefined
  const cast = args.map((arg, i) => implicitCast(arg, resolved.args[i] ?? parseValueType(arg.type)))
  return { kind: 'call', name, arguments: cast, type: typeText(resolved.type), position }
}

/** CAST or TRY_CAST to a type; undefined when Flink has no such cast. Nullability is the argument's (TRY_CAST: nullable). */
export function resolveCast(arg: Expression, type: string, position: string, tries = false): Call | undefined {
  const [from, to] = [parseValueType(arg.type), parseValueType(type)]
  if (!isCastable(from, to)) return undefined
  const nullable = tries || from.nullable || from.root === 'NULL'
  return { kind: 'call', name: tries ? 'TRY_CAST' : 'CAST', arguments: [arg], type: typeText(withNullable(to, nullable)), position }
}

function implicitCast(arg: Expression, to: ValueType): Expression {
  const from = parseValueType(arg.type)
  const same = from.root === to.root && (from.root !== 'DECIMAL' || (from.scale === to.scale && from.precision === to.precision))
  if (same || from.root === 'NULL' || (from.root === 'CHAR' && to.root === 'VARCHAR')) return arg
  return { kind: 'call', name: 'CAST', arguments: [arg], type: typeText(withNullable(to, from.nullable)), position: '' }
}
