import { Environment, EvaluationError } from '@marcbachmann/cel-js'
import { z } from 'zod'
import type { Rule } from '../api/fields.ts'
import { parseQuantity, Quantity } from './quantity.ts'

/**
 * The rules between fields that the schemas carry in CEL, held here as the API server holds them: map by map, with defaults filled in, and those about a change
 * (`oldSelf`) only where there is something that changes. A rule that trips over a field that is wrong by itself says nothing.
 */
export interface BrokenRule {
  readonly path: readonly string[]
  readonly message: string
}

export function brokenRules(schema: z.ZodType, value: unknown, old?: unknown, path: readonly string[] = []): readonly BrokenRule[] {
  const object = objectOf(schema)
  if (object === undefined || !isMap(value)) return []
  const before = isMap(old) ? old : undefined
  const own = broken(rulesOf(schema), filledIn(object, value), before === undefined ? undefined : filledIn(object, before))
  const inner = Object.entries(object.shape).flatMap(([key, field]) => brokenRules(field as z.ZodType, value[key], before?.[key], [...path, key]))
  return [...own.map(rule => ({ path: rule.fieldPath === undefined ? path : [...path, rule.fieldPath.slice(1)], message: rule.message })), ...inner]
}

/** All that a schema carries, for tests. */
export function rulesIn(schema: z.ZodType, path: readonly string[] = []): readonly (Rule & { readonly path: readonly string[] })[] {
  const object = objectOf(schema)
  if (object === undefined) return []
  const inner = Object.entries(object.shape).flatMap(([key, field]) => rulesIn(field as z.ZodType, [...path, key]))
  return [...rulesOf(schema).map(rule => ({ ...rule, path })), ...inner]
}

/** With those of Kubernetes' own functions that the rules call. */
const environment = new Environment({ unlistedVariablesAreDyn: true })
  .registerType('Quantity', Quantity)
  .registerFunction('quantity(string): Quantity', (text: string) => {
    const quantity = parseQuantity(text)
    if (quantity === undefined) throw new EvaluationError(`${text} is no quantity`)
    return quantity
  })
  .registerFunction('Quantity.isLessThan(Quantity): bool', (a: Quantity, b: Quantity) => a.nanos < b.nanos)
  .registerFunction('Quantity.isGreaterThan(Quantity): bool', (a: Quantity, b: Quantity) => a.nanos > b.nanos)
const compiled = new Map<string, (context: Readonly<Record<string, unknown>>) => unknown>()

function broken(rules: readonly Rule[], self: unknown, oldSelf: unknown): readonly Rule[] {
  const context = { self: celValue(self), ...(oldSelf === undefined ? {} : { oldSelf: celValue(oldSelf) }) }
  return rules.filter(({ rule }) => {
    if (oldSelf === undefined && rule.includes('oldSelf')) return false
    let check = compiled.get(rule)
    if (check === undefined) compiled.set(rule, (check = environment.parse(rule)))
    try {
      return check(context) !== true
    } catch (error) {
      if (error instanceof EvaluationError) return false
      throw error
    }
  })
}

/** With defaults; fields that are wrong stay as they are. */
function filledIn({ shape }: z.ZodObject, value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const fields = Object.entries(shape).map(([key, field]) => [key, (field as z.ZodType).safeParse(value[key]).data ?? value[key]])
  return Object.fromEntries(fields.filter(([, field]) => field !== undefined))
}

/** Whole numbers are ints there, which JavaScript has no type for but bigint. */
function celValue(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  if (Array.isArray(value)) return value.map(celValue)
  if (!isMap(value)) return value
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[key, celValue(inner)]])))
}

/** Those of a map, whatever is wrapped around it. */
function rulesOf(schema: z.ZodType): readonly Rule[] {
  const found = z.globalRegistry.get(schema)?.['x-kubernetes-validations']
  if (found !== undefined) return found as readonly Rule[]
  const inner = innerOf(schema)
  return inner === undefined ? [] : rulesOf(inner)
}

function objectOf(schema: z.ZodType): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema
  const inner = innerOf(schema)
  return inner === undefined ? undefined : objectOf(inner)
}

/** Of optional fields and of those with a default. */
function innerOf(schema: z.ZodType): z.ZodType | undefined {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : undefined
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
