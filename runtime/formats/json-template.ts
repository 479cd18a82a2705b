import { assert } from '../common/assert.ts'
import { utf8Text } from '../common/utf8.ts'
import type { KeyNode } from './json-reader.ts'
import { CLOSE_BRACE, COMMA, JsonScanner, NULL, OBJECT, OPEN_BRACE, unescaped } from './json-scan.ts'

/**
 * What a record looked like: the bytes that do not change from record to record (keys, braces, blanks) with values between. A record of another
 * look is not refused by it, only left to others.
 */
export interface JsonTemplate {
  readonly parts: readonly TemplatePart[]
  /** Columns whose keys are not there. */
  readonly missing: readonly number[]
  /** Equal for equal templates. */
  readonly signature: string
}

export interface TemplatePart {
  /** In front of the value. */
  readonly literal: Uint8Array
  /** Column of the value; SKIPPED, or NO_VALUE behind the last literal. */
  readonly column: number
  /** Of the value in the record learned from. */
  readonly kind: number
}

export const SKIPPED = -1
export const NO_VALUE = -2
/** Records of more values are read by the general reader. */
const PARTS_MAX = 200

/** Of a record that the general reader took. Undefined where a template would be wrong: a key comes twice. */
export function learnTemplate(data: Uint8Array, from: number, to: number, tree: KeyNode, columnCount: number): JsonTemplate | undefined {
  const learner = new TemplateLearner(data, to)
  const start = learner.scanner.space(from)
  if (data[start] !== OPEN_BRACE) return undefined
  if (!learner.object(start, from, tree, 1) || learner.parts.length > PARTS_MAX) return undefined
  const seen = new Set(learner.parts.map(part => part.column).concat(learner.nulls))
  const missing = Array.from({ length: columnCount }, (_, i) => i).filter(i => !seen.has(i) || learner.nulls.includes(i))
  const signature = learner.parts
    .map(part => `${utf8Text(part.literal, 0, part.literal.length)}\u0000${part.column}\u0000${part.column === SKIPPED ? part.kind : 0}`)
    .join('\u0000')
  return { parts: learner.parts, missing, signature }
}

class TemplateLearner {
  readonly parts: TemplatePart[] = []
  /** Columns below a key whose value is null. */
  readonly nulls: number[] = []
  readonly scanner = new JsonScanner()
  private readonly data: Uint8Array
  private literalFrom = 0

  constructor(data: Uint8Array, to: number) {
    this.data = data
    this.scanner.data = data
    this.scanner.to = to
  }

  object(brace: number, literalFrom: number, node: KeyNode, depth: number): boolean {
    const { data, scanner } = this
    this.literalFrom = literalFrom
    const end = this.members(brace + 1, node, depth)
    if (end < 0) return false
    const last = scanner.space(end)
    assert(last === scanner.to, 'a template is learned of a whole record')
    // The blank or CR in front of a line's end belongs to the literal; the end itself does not.
    this.parts.push({ literal: data.slice(this.literalFrom, scanner.to), column: NO_VALUE, kind: NULL })
    return true
  }

  /** From behind the opening brace to behind the closing one, -1 = not to be learned. */
  private members(from: number, node: KeyNode, depth: number): number {
    const { data, scanner } = this
    const keys = new Set<string>()
    let at = scanner.space(from)
    if (data[at] === CLOSE_BRACE) return at + 1
    for (;;) {
      const end = scanner.string(at + 1)
      const bytes = scanner.escaped ? unescaped(data, at + 1, end) : data.subarray(at + 1, end)
      const key = utf8Text(bytes, 0, bytes.length)
      if (keys.has(key)) return -1
      keys.add(key)
      at = this.member(scanner.colon(end + 1), node.children.get(key), depth)
      if (at < 0) return -1
      at = scanner.space(at)
      if (data[at] === CLOSE_BRACE) return at + 1
      assert(data[at] === COMMA, 'a template is learned of a record that parses')
      at = scanner.space(at + 1)
    }
  }

  private member(from: number, child: KeyNode | undefined, depth: number): number {
    const { data, scanner } = this
    if (child !== undefined && child.children.size > 0) {
      if (child.columns.length > 0) return -1
      if (data[from] === OPEN_BRACE) return this.members(from + 1, child, depth + 1)
      // The null is part of the literal, so that an object there is not skipped.
      const end = scanner.value(from, depth)
      if (scanner.kind !== NULL) return -1
      this.nulls.push(...child.below)
      return end
    }
    if (child !== undefined && child.columns.length !== 1) return -1
    const end = scanner.value(from, depth)
    if (child !== undefined && scanner.kind >= OBJECT) return -1
    this.parts.push({ literal: data.slice(this.literalFrom, from), column: child?.columns[0] ?? SKIPPED, kind: scanner.kind })
    this.literalFrom = end
    return end
  }
}
