import { arithmeticFunctions } from './arithmetic.ts'
import { castFunctions } from './casts.ts'
import type { ScalarFunction } from './function.ts'
import { logicFunctions } from './logic.ts'
import { mathFunctions } from './math.ts'
import { stringFunctions } from './strings.ts'
import { temporalFunctions } from './temporal.ts'

/** Every scalar function by its name; docs/sql-functions.md is generated from it. */
export const scalarFunctions: readonly ScalarFunction[] = [
  ...logicFunctions,
  ...arithmeticFunctions,
  ...mathFunctions,
  ...castFunctions,
  ...stringFunctions,
  ...temporalFunctions,
]

const aliases: Readonly<Record<string, string>> = {
  '!=': '<>',
  CEILING: 'CEIL',
  POW: 'POWER',
  'IS UNKNOWN': 'IS NULL',
  'IS NOT UNKNOWN': 'IS NOT NULL',
}
const byName = new Map(scalarFunctions.map(definition => [definition.name, definition]))

/** `name` in capitals. */
export function scalarFunction(name: string): ScalarFunction | undefined {
  return byName.get(aliases[name] ?? name)
}

export function scalarFunctionNames(): string[] {
  return [...byName.keys(), ...Object.keys(aliases)]
}

/** Functions of Flink that are known and refused by name. */
export const refusedFunctions: readonly string[] = [
  'SIMILAR TO',
  'REGEXP',
  'REGEXP_EXTRACT',
  'REGEXP_REPLACE',
  'RAND',
  'RAND_INTEGER',
  'UUID',
  'MD5',
  'SHA1',
  'SHA2',
  'SHA224',
  'SHA256',
  'SHA384',
  'SHA512',
  'JSON_VALUE',
  'JSON_QUERY',
  'JSON_EXISTS',
  'PARSE_URL',
  'PROCTIME',
]
