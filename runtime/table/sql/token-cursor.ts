import { FlinkError, nearestName } from '../../common/errors.ts'
import type { LogicalType } from '../types/logical-type.ts'
import type { Expression, Name, Path, Position } from './ast-expression.ts'
import type { Query } from './ast-query.ts'
import { reservedWords } from './keywords.ts'
import { type Token, tokenize } from './lexer.ts'
import { syntaxError, unsupportedSql } from './sql-error.ts'

/** The rules that call one another across files: given to the cursor, so that files need not import in circles. */
export interface Grammar {
  readonly expression: (cursor: TokenCursor) => Expression
  /** An expression that ends before IN. */
  readonly operand: (cursor: TokenCursor) => Expression
  readonly query: (cursor: TokenCursor) => Query
  readonly type: (cursor: TokenCursor) => LogicalType
}

/** Recursion of the parser, and of everything that walks its trees, is bounded by these. */
export const nestingMax = 200
export const chainMax = 2_000

/**
 * Reads tokens forward only. Every question that is asked at a token and answered "no" is remembered: if no rule wants the token, those
 * questions are what the error says was expected.
 */
export class TokenCursor {
  readonly text: string
  readonly grammar: Grammar
  private readonly tokens: readonly Token[]
  /** Whether INTERVAL begins a type: in CAST and in a type's own text, not in the columns of a table. */
  intervalTypes = false
  private index = 0
  private nesting = 0
  private expected = new Set<string>()
  /** Not listed in errors, too many; but a misspelt one is recognised. */
  private possible = new Set<string>()

  constructor(text: string, grammar: Grammar) {
    this.text = text
    this.grammar = grammar
    this.tokens = tokenize(text)
  }

  get token(): Token {
    return this.peek(0)
  }

  get position(): Position {
    const { line, column, offset } = this.token
    return { line, column, offset }
  }

  /** Where the previous token ended. */
  get consumedEnd(): number {
    return this.tokens[this.index - 1]?.end ?? 0
  }

  peek(ahead: number): Token {
    const token = this.tokens[Math.min(this.index + ahead, this.tokens.length - 1)]
    if (token === undefined) throw new FlinkError('INTERNAL', 'a token list without an end')
    return token
  }

  /** Looks ahead without expecting anything. */
  sees(ahead: number, ...wordsOrSymbols: readonly string[]): boolean {
    return wordsOrSymbols.every((wanted, i) => {
      const token = this.peek(ahead + i)
      return token.kind === 'word' ? token.upper === wanted : token.kind === 'symbol' && token.value === wanted
    })
  }

  advance(): Token {
    const token = this.token
    if (token.kind !== 'end') this.index++
    this.expected = new Set()
    this.possible = new Set()
    return token
  }

  expecting(what: string): void {
    this.expected.add(what)
  }

  isWord(word: string): boolean {
    if (this.token.kind === 'word' && this.token.upper === word) return true
    this.expected.add(word)
    return false
  }

  /** As isWord, for the many that may follow almost anywhere. */
  isPossible(word: string): boolean {
    if (this.token.kind === 'word' && this.token.upper === word) return true
    this.possible.add(word)
    return false
  }

  /** As `accept` of one word, for the many that may follow almost anywhere. */
  acceptPossible(word: string): boolean {
    if (!this.isPossible(word)) return false
    this.advance()
    return true
  }

  /** Takes all of `words`, or none. */
  accept(...words: readonly string[]): boolean {
    if (!this.isWord(words[0] ?? '') || !this.sees(0, ...words)) return false
    for (const _ of words) this.advance()
    return true
  }

  expect(...words: readonly string[]): void {
    for (const word of words) {
      if (!this.isWord(word)) this.fail()
      this.advance()
    }
  }

  /** The first of `words` that stands here, taken. */
  acceptOneOf<W extends string>(words: readonly W[]): W | undefined {
    const found = words.find(word => this.isWord(word))
    if (found !== undefined) this.advance()
    return found
  }

  expectOneOf<W extends string>(words: readonly W[]): W {
    return this.acceptOneOf(words) ?? this.fail()
  }

  isSymbol(symbol: string): boolean {
    if (this.token.kind === 'symbol' && this.token.value === symbol) return true
    this.expected.add(`'${symbol}'`)
    return false
  }

  acceptSymbol(symbol: string): boolean {
    if (!this.isSymbol(symbol)) return false
    this.advance()
    return true
  }

  expectSymbol(symbol: string): void {
    if (!this.acceptSymbol(symbol)) this.fail()
  }

  string(what: string): string {
    if (this.token.kind === 'string') return this.advance().value
    this.expecting(what)
    return this.fail()
  }

  /** An unsigned whole number. */
  integer(what: string, max = 2_147_483_647): number {
    const token = this.token
    if (token.kind !== 'number' || !/^\d+$/.test(token.value)) {
      this.expecting(what)
      return this.fail()
    }
    const value = Number(token.value)
    if (value > max) throw this.error(`${what} ${token.value} is larger than ${max}`)
    this.advance()
    return value
  }

  isName(ahead = 0): boolean {
    const token = this.peek(ahead)
    return token.kind === 'quoted' || (token.kind === 'word' && !reservedWords.has(token.upper))
  }

  name(what: string): Name {
    if (!this.isName()) {
      this.expecting(what)
      return this.fail()
    }
    const pos = this.position
    return { pos, text: this.advance().value }
  }

  path(what: string): Path {
    const parts = [this.name(what)]
    while (this.acceptSymbol('.')) parts.push(this.name('a name'))
    return parts
  }

  /** `( item, item, … )`. */
  parenthesized<T>(item: () => T): readonly T[] {
    this.expectSymbol('(')
    const items = this.commaSeparated(item)
    this.expectSymbol(')')
    return items
  }

  commaSeparated<T>(item: () => T): readonly T[] {
    const items = [item()]
    while (this.acceptSymbol(',')) items.push(item())
    return items
  }

  /** Counts a level of recursion while `parse` runs. */
  nested<T>(parse: () => T): T {
    if (++this.nesting > nestingMax) throw this.error(`more than ${nestingMax} levels of nesting`)
    const result = parse()
    this.nesting--
    return result
  }

  checkChain(length: number): void {
    if (length > chainMax) throw this.error(`more than ${chainMax} operators in one chain`)
  }

  /** Nothing that was asked for stands here. */
  fail(): never {
    const expected = [...this.expected]
    const { token } = this
    const found = describe(token)
    const reserved = token.kind === 'word' && reservedWords.has(token.upper)
    // A keyword in the wrong place is no misspelt one, and one letter is near to everything.
    const words = [...expected, ...this.possible]
    const here = token.kind === 'word' && !reserved && token.value.length > 1 ? nearestKeyword(token.value, words) : undefined
    // `FROM t WHRE a` takes WHRE for an alias and fails behind it, where WHERE would have been welcome.
    const previous = this.tokens[this.index - 1]
    const misspelt = previous?.kind === 'word' && !reservedWords.has(previous.upper) && previous.value.length > 3
    const before = misspelt ? nearestKeyword(previous.value, words) : undefined
    const nameExpected = expected.some(what => /^an? |expression/.test(what))
    const advice =
      here !== undefined
        ? `; did you mean ${here}?`
        : before !== undefined
          ? `; did you mean ${before} where ${previous?.value} stands?`
          : reserved && nameExpected && !clauseWords.has(token.upper)
            ? `; ${token.upper} is a reserved word: as a name it needs backticks`
            : ''
    throw this.error(expected.length === 0 ? `unexpected ${found}` : `found ${found}, expected ${enumeration(expected)}${advice}`, {
      expected,
      found,
    })
  }

  error(problem: string, detail: { expected?: readonly string[]; found?: string } = {}, at: Position = this.position): FlinkError {
    return syntaxError(this.text, at, problem, detail)
  }

  unsupported(feature: string, at: Position = this.position): never {
    throw unsupportedSql(this.text, at, feature)
  }
}

/** Reserved words that nobody means as a name: no advice about backticks. */
const clauseWords = new Set(
  'SELECT FROM WHERE GROUP HAVING ORDER BY AND OR NOT ON AS IN IS LIKE BETWEEN UNION EXCEPT INTERSECT JOIN LEFT RIGHT INNER FULL CROSS CASE WHEN THEN ELSE END WITH INTO INSERT CREATE DROP TABLE SET NULL LIMIT OFFSET FETCH VALUES DISTINCT FOR USING WINDOW OVER'.split(
    ' ',
  ),
)

function nearestKeyword(word: string, expected: readonly string[]): string | undefined {
  return nearestName(
    word,
    expected.filter(candidate => /^[A-Z_ ]+$/.test(candidate)),
  )
}

const shownMax = 10

function enumeration(expected: readonly string[]): string {
  const shown = expected.length > shownMax ? [...expected.slice(0, shownMax - 1), `${expected.length - shownMax + 1} others`] : expected
  return shown.length === 1 ? (shown[0] ?? '') : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`
}

const shownLengthMax = 40

function describe(token: Token): string {
  const value = token.value.length > shownLengthMax ? `${token.value.slice(0, shownLengthMax)}…` : token.value
  switch (token.kind) {
    case 'end':
      return 'the end of the statement'
    case 'word':
      return reservedWords.has(token.upper) ? `the keyword ${token.upper}` : `the name ${value}`
    case 'quoted':
      return `the name \`${value}\``
    case 'string':
      return `the string '${value}'`
    case 'binary':
      return 'a binary literal'
    case 'number':
      return `the number ${value}`
    default:
      return `'${value}'`
  }
}
