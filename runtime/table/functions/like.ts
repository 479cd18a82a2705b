import { type BoundCall, noValue } from './function.ts'

/** LIKE by segments between `%`: linear for each segment, no regular expression, so that no pattern can run wild. */
type Segment = readonly (string | undefined)[]

export function likeMatcher(pattern: string, escapeWith: string | undefined, call: BoundCall): (text: string) => boolean {
  const segments = parse(pattern, escapeWith, call)
  const [first = [], ...rest] = segments
  const last = rest.at(-1)
  const plain = segments.every(segment => segment.every(point => point !== undefined)) ? segments.map(segment => segment.join('')) : undefined
  if (plain !== undefined) {
    const [head = '', ...others] = plain
    const tail = others.at(-1)
    if (tail === undefined) return text => text === head
    const middle = others.slice(0, -1).filter(part => part !== '')
    return text => {
      if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
      let at = head.length
      for (const part of middle) {
        const found = text.indexOf(part, at)
        if (found < 0) return false
        at = found + part.length
      }
      return at <= text.length - tail.length
    }
  }
  return text => {
    const points = [...text]
    if (last === undefined) return points.length === first.length && matchesAt(points, 0, first)
    const end = points.length - last.length
    if (first.length > end || !matchesAt(points, 0, first) || !matchesAt(points, end, last)) return false
    let at = first.length
    for (const segment of rest.slice(0, -1)) {
      while (at + segment.length <= end && !matchesAt(points, at, segment)) at++
      if (at + segment.length > end) return false
      at += segment.length
    }
    return true
  }
}

function matchesAt(points: readonly string[], at: number, segment: Segment): boolean {
  for (let i = 0; i < segment.length; i++) if (segment[i] !== undefined && segment[i] !== points[at + i]) return false
  return true
}

/** undefined stands for `_`. */
function parse(pattern: string, escapeWith: string | undefined, call: BoundCall): Segment[] {
  if (escapeWith !== undefined && [...escapeWith].length !== 1) noValue(call, `invalid escape character '${escapeWith}'`)
  const segments: (string | undefined)[][] = [[]]
  const points = [...pattern]
  for (let i = 0; i < points.length; i++) {
    const point = points[i]
    if (point === escapeWith && escapeWith !== undefined) {
      const next = points[++i]
      if (next !== '_' && next !== '%' && next !== escapeWith) noValue(call, `invalid escape sequence '${pattern}', ${i - 1}`)
      segments.at(-1)?.push(next)
    } else if (point === '%') segments.push([])
    else segments.at(-1)?.push(point === '_' ? undefined : point)
  }
  return segments
}
