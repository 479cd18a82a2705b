import { FlinkError, nearestName } from '../../common/errors.ts'
import type { Call, Expression, Literal } from '../plan/expression.ts'
import { parseDecimal } from './decimal.ts'
import { type BoundCall, type Environment, NoValue, type ScalarFunction } from './function.ts'
import { scalarFunction, scalarFunctionNames } from './function-table.ts'
import { isBinary, isDecimal, parseValueType, type Value } from './value-type.ts'

/** From the JSON of a plan to what functions take. */

const TEXT_MAX = 120

export function definitionOf(call: Call): ScalarFunction {
  const definition = scalarFunction(call.name)
  if (definition !== undefined) return definition
  const near = nearestName(call.name, scalarFunctionNames())
  throw new FlinkError(
    'UNSUPPORTED',
    `function ${call.name} at ${call.position} is not supported yet${near === undefined ? '' : `; did you mean ${near}?`}`,
    {
      position: call.position,
    },
  )
}

export function bindCall(call: Call): BoundCall {
  return {
    name: call.name,
    position: call.position,
    text: expressionText(call),
    type: parseValueType(call.type),
    args: call.arguments.map(argument => ({
      type: parseValueType(argument.type),
      literal: argument.kind === 'literal' ? literalValue(argument) : undefined,
    })),
  }
}

/** The function of a call site. One that cannot be made of its literals (a pattern that does not parse) is the user's error, not a row's. */
export function bindFunction(definition: ScalarFunction, call: BoundCall, environment: Environment): (...values: never[]) => Value {
  try {
    return definition.bind(call, environment)
  } catch (error) {
    if (!(error instanceof NoValue)) throw error
    const { text, position } = call
    throw new FlinkError('INVALID_SQL', `${error.message} in ${text} at ${position}`, { expression: text, position })
  }
}

export function literalValue({ value, type: text }: Literal): Value {
  const type = parseValueType(text)
  if (value === null) return null
  if (isDecimal(type)) return parseDecimal(String(value), type.scale) ?? null
  if (type.root === 'BIGINT') return BigInt(value)
  if (isBinary(type)) return Uint8Array.from(String(value).match(/../g) ?? [], byte => Number.parseInt(byte, 16))
  return value
}

/** For error messages: columns are `$0`, long texts are cut. */
export function expressionText(expression: Expression): string {
  const text = whole(expression, 6)
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text
}

function whole(expression: Expression, depth: number): string {
  if (depth === 0) return '…'
  if (expression.kind === 'column') return `$${expression.index}`
  if (expression.kind === 'literal')
    return typeof expression.value === 'string' ? `'${expression.value.slice(0, TEXT_MAX)}'` : String(expression.value ?? 'NULL')
  const parts = expression.arguments.slice(0, 20).map(argument => whole(argument, depth - 1))
  if (expression.name === 'CAST' || expression.name === 'TRY_CAST')
    return `${expression.name}(${parts[0]} AS ${expression.type.replace(' NOT NULL', '')})`
  return /^[A-Z_]+$/.test(expression.name)
    ? `${expression.name}(${parts.join(', ')})`
    : parts.length === 1
      ? `${expression.name} ${parts[0]}`
      : `(${parts.join(` ${expression.name} `)})`
}
