import type { Position } from './ast-expression.ts'
import { syntaxError } from './sql-error.ts'

/**
 * SQL text to tokens, as Flink's parser sees it: backtick identifiers, `''` in strings, three kinds of comments, hints as tokens of their own.
 * `>` is always one token, so that `ARRAY<ARRAY<INT>>` needs no splitting. Words keep their case; `upper` is what keywords are compared by.
 */
export type TokenKind = 'word' | 'quoted' | 'string' | 'binary' | 'number' | 'symbol' | 'hint' | 'end'

export interface Token extends Position {
  readonly kind: TokenKind
  /** The name, the string's content, the hex digits, the digits, or the symbol. */
  readonly value: string
  readonly upper: string
  /** Offset after the last character. */
  readonly end: number
}

const symbols = [
  '<>',
  '!=',
  '<=',
  '>=',
  '||',
  '=>',
  '->',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
  ',',
  '.',
  ';',
  '+',
  '-',
  '*',
  '/',
  '%',
  '=',
  '<',
  '>',
  '?',
  ':',
  '|',
]
const letter = /[\p{L}\p{Nl}_$]/u
const wordPattern = /[\p{L}\p{Nl}_$][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}_$]*/uy
const numberPattern = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const identifierLengthMax = 256

class Lexer {
  readonly text: string
  readonly tokens: Token[] = []
  private at = 0
  private line = 1
  private lineStart = 0
  /** UTF-16 units before `at` on this line that are the second half of a pair: they do not count as columns. */
  private pairs = 0
  private counted = 0

  constructor(text: string) {
    this.text = text
  }

  run(): readonly Token[] {
    while (this.skipBlanks()) this.token()
    const position = this.position()
    this.tokens.push({ ...position, kind: 'end', value: '', upper: '', end: this.at })
    return this.tokens
  }

  private position(): Position {
    for (; this.counted < this.at; this.counted++) {
      const code = this.text.charCodeAt(this.counted)
      const next = this.text.charCodeAt(this.counted + 1)
      if (code === 10 || (code === 13 && next !== 10)) {
        this.line++
        this.lineStart = this.counted + 1
        this.pairs = 0
      } else if (code >= 0xd800 && code < 0xdc00 && next >= 0xdc00 && next < 0xe000) this.pairs++
    }
    return { line: this.line, column: this.at - this.lineStart - this.pairs + 1, offset: this.at }
  }

  /** False at the end of the text. */
  private skipBlanks(): boolean {
    const { text } = this
    while (this.at < text.length) {
      const two = text.slice(this.at, this.at + 2)
      if (two === '--' || two === '//') this.at = lineEnd(text, this.at)
      else if (two === '/*' && text[this.at + 2] !== '+') this.at = this.closing('*/', this.at + 2, 'comment')
      else if (/\s/.test(text[this.at] ?? '')) this.at++
      else return true
    }
    return false
  }

  private closing(mark: string, from: number, what: string): number {
    const found = this.text.indexOf(mark, from)
    if (found < 0) throw syntaxError(this.text, this.position(), `the ${what} that begins here does not end`, { expected: [mark] })
    return found + mark.length
  }

  private push(kind: TokenKind, value: string, end: number): void {
    const position = this.position()
    this.tokens.push({ ...position, kind, value, upper: kind === 'word' ? value.toUpperCase() : '', end })
    this.at = end
  }

  private token(): void {
    const { text, at } = this
    const character = text[at] ?? ''
    if (character === '`') return this.quoted()
    if (character === "'") return this.string('')
    if (text.startsWith('/*+', at)) return this.push('hint', '/*+', at + 3)
    if (text.startsWith('*/', at) && this.insideHint()) return this.push('hint', '*/', at + 2)
    numberPattern.lastIndex = at
    const number = numberPattern.exec(text)?.[0]
    if (number !== undefined) return this.push('number', number, at + number.length)
    if (letter.test(String.fromCodePoint(text.codePointAt(at) ?? 0))) return this.word()
    const symbol = symbols.find(candidate => text.startsWith(candidate, at))
    if (symbol !== undefined) return this.push('symbol', symbol, at + symbol.length)
    const hint = character === '"' ? "; strings stand in single quotes ('…') and names in backticks (`…`)" : ''
    throw syntaxError(text, this.position(), `unexpected character ${printable(String.fromCodePoint(text.codePointAt(at) ?? 0))}${hint}`)
  }

  /** `*` `/` would be two symbols; they close a hint only when one is open. */
  private insideHint(): boolean {
    return this.tokens.findLast(token => token.kind === 'hint')?.value === '/*+'
  }

  private word(): void {
    const { text, at } = this
    wordPattern.lastIndex = at
    const word = wordPattern.exec(text)?.[0] ?? ''
    const next = text.slice(at + word.length, at + word.length + 2)
    if (/^[nN]$/.test(word) && next.startsWith("'")) return this.string('N')
    if (/^[xX]$/.test(word) && next.startsWith("'")) return this.string('X')
    if (/^[uU]$/.test(word) && next === "&'") return this.string('U&')
    this.checkLength(word)
    this.push('word', word, at + word.length)
  }

  private quoted(): void {
    const { text, at } = this
    let end = at + 1
    for (; ; end++) {
      if (end >= text.length || text[end] === '\n' || text[end] === '\r')
        throw syntaxError(text, this.position(), 'the quoted name that begins here does not end on its line', { expected: ['`'] })
      if (text[end] !== '`') continue
      if (text[end + 1] !== '`') break
      end++
    }
    const name = text.slice(at + 1, end).replaceAll('``', '`')
    if (name === '') throw syntaxError(text, this.position(), 'a name cannot be empty')
    this.checkLength(name)
    this.push('quoted', name, end + 1)
  }

  private checkLength(name: string): void {
    if (name.length <= identifierLengthMax) return
    throw syntaxError(this.text, this.position(), `a name of ${name.length} characters is longer than the limit of ${identifierLengthMax}`)
  }

  private string(prefix: string): void {
    const { text, at } = this
    let end = at + prefix.length + 1
    for (; ; end++) {
      end = this.closing("'", end, 'string') - 1
      if (text[end + 1] !== "'") break
      end++
    }
    const value = text.slice(at + prefix.length + 1, end).replaceAll("''", "'")
    if (prefix === 'X') {
      if (!/^(?:[0-9a-fA-F]{2})*$/.test(value)) throw syntaxError(text, this.position(), 'a binary literal holds pairs of hexadecimal digits only')
      return this.push('binary', value.toUpperCase(), end + 1)
    }
    this.push('string', prefix === 'U&' ? this.unescaped(value) : value, end + 1)
  }

  /** `\00e9` and `\+01f600` in U&'…'. */
  private unescaped(value: string): string {
    return value.replace(/\\(?:\\|\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4})|)/g, (all: string, six?: string, four?: string) => {
      const code = Number.parseInt(six ?? four ?? '', 16)
      if (all === '\\\\') return '\\'
      if (!(code <= 0x10ffff)) throw syntaxError(this.text, this.position(), 'a unicode escape is \\ and four or \\+ and six hexadecimal digits')
      return String.fromCodePoint(code)
    })
  }
}

export function tokenize(text: string): readonly Token[] {
  return new Lexer(text).run()
}

function lineEnd(text: string, from: number): number {
  const found = text.slice(from).search(/[\r\n]/)
  return found < 0 ? text.length : from + found
}

function printable(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return /[\p{C}\p{Z}]/u.test(character) ? `U+${code.toString(16).toUpperCase().padStart(4, '0')}` : `'${character}'`
}
