import type { FastifyRequest } from 'fastify'
import { isId } from '../common/ids.ts'
import { badRequest } from './http-errors.ts'

/** Path and query parameters, checked as Flink checks them: what does not parse is 400, never 404. */
export function pathText(request: FastifyRequest, name: string): string {
  const value = (request.params as Record<string, string>)[name]
  if (value === undefined || value === '') throw couldNotParse(`path parameter (${name}) is missing`)
  return value
}

export function pathId(request: FastifyRequest, name: string): string {
  const value = pathText(request, name)
  if (!isId(value.toLowerCase()))
    throw couldNotParse(`could not resolve path parameter (${name}) from value "${value}", expected 32 hexadecimal digits`)
  return value.toLowerCase()
}

export function pathNumber(request: FastifyRequest, name: string): number {
  return wholeNumber(name, pathText(request, name))
}

export function queryText(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[]>)[name]
  return Array.isArray(value) ? value.join(',') : value
}

export function queryList(request: FastifyRequest, name: string): string[] | undefined {
  const text = queryText(request, name)
  if (text === undefined) return undefined
  const parts = text.split(',').filter(part => part !== '')
  return parts.length === 0 ? undefined : parts
}

export function queryNumber(request: FastifyRequest, name: string): number | undefined {
  const text = queryText(request, name)
  return text === undefined ? undefined : wholeNumber(name, text)
}

/** `0-3,5` as a test. */
export function querySubtasks(request: FastifyRequest, name: string): (index: number) => boolean {
  const parts = queryList(request, name)
  if (parts === undefined) return () => true
  const ranges = parts.map(part => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) throw couldNotParse(`query parameter (${name}) has the range "${part}", expected for example 0-3,5`)
    const from = Number(match[1])
    return [from, Number(match[2] ?? from)] as const
  })
  return index => ranges.some(([from, to]) => index >= from && index <= to)
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw couldNotParse(`parameter (${name}) is "${text}", expected a whole number`)
  return Number(text)
}

function couldNotParse(what: string) {
  return badRequest(`Bad request, could not parse parameters: ${what}`)
}

/** A body as a JSON object; an absent one is `{}`. Unknown fields are refused, as Flink does. */
export function jsonBody(request: FastifyRequest, className: string, fields: readonly string[]): Record<string, unknown> {
  const text = typeof request.body === 'string' ? request.body.trim() : ''
  if (text === '') return {}
  const mismatch = (why: string) => badRequest(`Request did not match expected format ${className}: ${why}`)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw mismatch((error as Error).message)
  }
  if (body === null) return {}
  if (typeof body !== 'object' || Array.isArray(body)) throw mismatch('not a JSON object')
  for (const key of Object.keys(body)) if (!fields.includes(key)) throw mismatch(`unknown field "${key}", known are ${fields.join(', ')}`)
  return body as Record<string, unknown>
}
