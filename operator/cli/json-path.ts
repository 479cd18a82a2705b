/**
 * The part of JSONPath that printer columns are written in: `.a.b`, and one entry of a list by the value of a field, `.conditions[?(@.type=="Ready")]`. Answers undefined
 * where there is nothing, as kubectl prints nothing then.
 */
export function valueAtJsonPath(document: unknown, path: string): unknown {
  let value = document
  let rest = path
  while (rest !== '') {
    const step = /^\.(\w+)|^\[\?\(@\.(\w+)=="([^"]*)"\)\]/.exec(rest)
    if (step === null) throw new Error(`JSONPath ${path} is not understood at "${rest}"`)
    const [matched, field, key, wanted] = step
    value = field === undefined ? (Array.isArray(value) ? value.find(item => fieldOf(item, key ?? '') === wanted) : undefined) : fieldOf(value, field)
    rest = rest.slice(matched.length)
  }
  return value
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[field] : undefined
}
