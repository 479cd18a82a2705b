import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../../test/support/runs.ts'
import { corpusStatements, mutations } from '../../../test/support/sql-corpus.ts'
import { FlinkError } from '../../common/errors.ts'
import { reservedWords } from './keywords.ts'
import { parseExpressionText, parseScript, parseStatement, splitScript } from './parse.ts'
import { printExpressionText, printStatement } from './print.ts'

const corpus = corpusStatements()
const accepted = corpus.filter(({ text }) => failure(text) === undefined).map(({ text }) => text)

function failure(text: string): FlinkError | undefined {
  try {
    parseStatement(text)
    return undefined
  } catch (error) {
    if (error instanceof FlinkError) return error
    throw error
  }
}

/** A tree without positions. */
function shape(tree: unknown): unknown {
  return JSON.parse(JSON.stringify(tree, (key, value) => (key === 'pos' ? undefined : value)))
}

/** Operators with explicit parentheses show how an expression was read. */
function grouped(text: string): string {
  return printExpressionText(parseExpressionText(text))
}

describe('corpus', () => {
  test('a statement printed and parsed again is the same tree', () => {
    const changed = accepted.filter(text => {
      const tree = parseStatement(text)
      const printed = printStatement(tree)
      return JSON.stringify(shape(parseStatement(printed))) !== JSON.stringify(shape(tree)) || printStatement(parseStatement(printed)) !== printed
    })
    expect(changed).toEqual([])
    expect(accepted.length).toBeGreaterThan(170)
  })

  test('each token replaced in turn gives a tree that prints and parses, or one error with a position inside the statement', () => {
    const wrong: string[] = []
    let errors = 0
    corpus.forEach(({ text }, i) => {
      for (const mutated of mutations(text, i)) {
        const error = failure(mutated)
        if (error === undefined) {
          const tree = parseStatement(mutated)
          if (JSON.stringify(shape(parseStatement(printStatement(tree)))) !== JSON.stringify(shape(tree))) wrong.push(mutated)
          continue
        }
        errors++
        const lines = mutated.split('\n')
        const { line, column } = error.detail as { line: number; column: number }
        const inside = line >= 1 && line <= lines.length && column >= 1 && column <= [...(lines[line - 1] ?? '')].length + 1
        const coded = error.code === 'INVALID_SQL' || error.code === 'UNSUPPORTED'
        if (!inside || !coded || !error.message.includes(`${line}:${column}`) || !String(error.detail['excerpt']).endsWith('^')) wrong.push(mutated)
      }
    })
    expect(wrong).toEqual([])
    expect(errors).toBeGreaterThan(3_000)
  })

  test('errors read as they are kept in errors.golden', async () => {
    const typos = [
      'SELECT a FORM t WHERE a > 1',
      'SELECT a, FROM t',
      'SELECT a FROM t WHRE a > 1',
      'SELECT a FROM t GROUP a',
      'SELECT a FROM t ODER BY a',
      'SELECT a FROM t LIMT 10',
      'SELECT COUNT(* FROM t',
      'SELECT timestamp FROM t',
      'SELECT a FROM t WHERE a BETWEN 1 AND 2',
      'SELECT CASE WHEN a THEN b FROM t',
      'SELECT CAST(a TO INT) FROM t',
      'SELECT a FROM (SELECT b FROM u WHERE c',
      'SELECT EXTRACT(YER FROM ts) FROM t',
      "SELECT INTERVAL '1' SECND",
      'INSERT s SELECT a FROM t',
      'INSERT INTO s VALUE (1)',
      "CREATE TABLE t (a INTT) WITH ('connector' = 'print')",
      "CREATE TABLE t (a INT) WITH (connector = 'print')",
      "CREATE TABLE t (ts TIMESTAMP(3), WATERMARK ts AS ts) WITH ('connector' = 'print')",
      'CREATE VEIW v AS SELECT 1',
      'EXPLIAN SELECT 1',
      'SHOW TABELS',
    ]
    const replaced = corpus
      .filter(({ text }) => !text.includes('\n'))
      .flatMap(({ text }, i) => mutations(text, i).filter((_, token, all) => token === i % 5 || token === (i * 3) % all.length))
    const wrong = [...typos, ...replaced]
      .map(text => ({ text, error: failure(text) }))
      .filter(({ error }) => error !== undefined)
      .slice(0, 200)
    expect(wrong.length).toBeGreaterThanOrEqual(80)
    const blocks = wrong.map(({ error }) => `${error?.code} ${error?.message}\n${error?.detail['excerpt']}`)
    const header = 'self: written by Millrace (vitest -u), read by people when it changes\n\n'
    await expect(`${header}${blocks.join('\n\n')}\n`).toMatchFileSnapshot('../../../test/sql/errors.golden')
  })
})

describe('expressions', () => {
  test.each([
    ['a OR b AND NOT c = d', 'a OR (b AND (NOT (c = d)))'],
    ['a + b * c - d', '(a + (b * c)) - d'],
    ['a || b * c', '(a || b) * c'],
    ['-a * b', '(-a) * b'],
    ['NOT a IS NULL', 'NOT (a IS NULL)'],
    ['a = b IS TRUE', '(a = b) IS TRUE'],
    ['a BETWEEN 1 AND 2 AND b', '(a BETWEEN 1 AND 2) AND b'],
    ['a NOT LIKE b || c OR d', '(a NOT LIKE (b || c)) OR d'],
    ['a < b = c', '(a < b) = c'],
    ['- -1', '-(-1)'],
    ["POSITION('a' IN b || c)", "POSITION('a' IN b || c)"],
    ['a[1].b', 'a[1].b'],
    ['a IS DISTINCT FROM b + 1 AND c', '(a IS DISTINCT FROM (b + 1)) AND c'],
    ['SUBSTRING(a FROM 2 FOR 3)', 'SUBSTRING(a, 2, 3)'],
    ['`select`.`a``b`', '`select`.`a``b`'],
  ])('%s reads as %s', (text, expected) => {
    expect(grouped(text)).toBe(expected)
  })

  const operators = ['+', '-', '*', '/', '%', '||', '=', '<>', '<', '>=', 'AND', 'OR', 'IS DISTINCT FROM', 'LIKE', 'OVERLAPS']
  const leaf = fc.constantFrom(
    'a',
    't.b',
    '1',
    "'s'",
    'NULL',
    'f(a, b)',
    '(SELECT 1)',
    'CAST(a AS INT)',
    'CURRENT_DATE',
    "INTERVAL '1' DAY",
    'a[1]',
    '`x y`',
  )
  const { tree } = fc.letrec<{ tree: string }>(tie => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      leaf,
      fc.tuple(tie('tree'), fc.constantFrom(...operators), tie('tree')).map(([left, operator, right]) => `${left} ${operator} ${right}`),
      tie('tree').map(inner => `(${inner})`),
      tie('tree').map(inner => `NOT (${inner})`),
      tie('tree').map(inner => `(${inner}) IS NOT NULL`),
      fc.tuple(tie('tree'), tie('tree'), tie('tree')).map(([a, b, c]) => `CASE WHEN ${a} THEN ${b} ELSE ${c} END`),
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(${a}) IN (${b}, 1)`),
      fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(${a}) BETWEEN (${b}) AND 2`),
    ),
  }))

  test('random expressions printed and parsed again are the same trees', () => {
    fc.assert(
      fc.property(tree, text => {
        const parsed = parseExpressionText(text)
        expect(shape(parseExpressionText(printExpressionText(parsed)))).toEqual(shape(parsed))
      }),
      { numRuns: runs(500) },
    )
  })
})

describe('hostile input', () => {
  const words = [...reservedWords].slice(0, 400)
  const token = fc.oneof(
    fc.constantFrom(...words),
    fc.constantFrom(
      'a',
      '`b`',
      "'s'",
      '1',
      '.5',
      '1e9',
      '(',
      ')',
      '(',
      ')',
      ',',
      '.',
      ';',
      '[',
      ']',
      '<',
      '>',
      '=',
      '=>',
      '/*+',
      '*/',
      '+',
      '*',
      "X'CAFE'",
      '?',
    ),
    fc.string({ maxLength: 4 }),
  )

  test('token soups give a tree or one error, and a script its statements or one error', () => {
    fc.assert(
      fc.property(
        fc.array(token, { maxLength: 40 }),
        fc.constantFrom('', 'SELECT ', 'CREATE TABLE t (', 'INSERT INTO t SELECT a FROM ', 'SELECT a FROM t WHERE '),
        (tokens, start) => {
          const text = start + tokens.join(' ')
          for (const parse of [parseStatement, parseScript, splitScript])
            try {
              parse(text)
            } catch (error) {
              expect(error).toBeInstanceOf(FlinkError)
              expect(['INVALID_SQL', 'UNSUPPORTED']).toContain((error as FlinkError).code)
            }
        },
      ),
      { numRuns: runs(2_000) },
    )
  })

  test.each([
    ['parentheses', `SELECT ${'('.repeat(50_000)}1${')'.repeat(50_000)}`, /more than 200 levels of nesting/],
    ['NOT', `SELECT ${'NOT '.repeat(50_000)}a`, /more than 200 levels of nesting/],
    ['subqueries', `${'SELECT * FROM ('.repeat(5_000)}t`, /more than 200 levels of nesting/],
    ['CASE', `SELECT ${'CASE WHEN '.repeat(10_000)}`, /more than 200 levels of nesting/],
    ['types', `CREATE TABLE t (a ${'ARRAY<'.repeat(10_000)}`, /more than 200 levels of nesting/],
    ['operators', `SELECT ${'a + '.repeat(50_000)}a`, /more than 2000 operators in one chain/],
    ['set operations', `${'SELECT 1 UNION ALL '.repeat(20_000)}SELECT 1`, /more than 2000 operators in one chain/],
    ['joins', `SELECT * FROM t${', t'.repeat(20_000)}`, /more than 2000 operators in one chain/],
  ])('%s without end are refused by their limit', (_, text, message) => {
    expect(failure(text)?.message).toMatch(message)
  })

  test('a chain of the longest length prints and parses', () => {
    const text = `SELECT ${'a OR '.repeat(1_999)}a`
    expect(failure(text)).toBeUndefined()
    expect(() => printStatement(parseStatement(text))).not.toThrow()
  })
})

describe('errors', () => {
  test.each([
    ['SELEC a FROM t', '1:1', 'did you mean SELECT?'],
    ['SELECT a FORM t', '1:15', "found the name t, expected ',', FROM"],
    ['SELECT a FROM t WHER a > 1', '1:22', 'found the name a'],
    ['SELECT a\nFROM t\nGROUP YB a', '3:7', 'did you mean BY?'],
    ['SELECT day FROM t', '1:8', 'DAY is a reserved word: as a name it needs backticks'],
    ['SELECT a FROM t WHERE a != 1', '1:25', "'!=' is no operator; write '<>'"],
    ['SELECT "a" FROM t', '1:8', 'names in backticks'],
    ["SELECT 'a FROM t", '1:8', 'the string that begins here does not end'],
    ['SELECT `a FROM t', '1:8', 'the quoted name that begins here does not end on its line'],
    ['SELECT 1 /* never closed', '1:10', 'the comment that begins here does not end'],
    ["SELECT '😀', 日本 日本 日本", '1:19', 'found the name 日本'],
    ["SELECT DATE '2023-02-29'", '1:13', "'2023-02-29' is no DATE"],
    ["SELECT INTERVAL '1:2' DAY", '1:17', "'1:2' is no interval of DAY"],
    ['CREATE TABLE t (a BIGNT)', '1:19', 'did you mean BIGINT?'],
    ['CREATE TABLE t (a INT,)', '1:23', 'expected WATERMARK'],
    ['SELECT CAST(a AS DECIMAL(39)) FROM t', '1:26', 'a precision 39 is larger than 38'],
    ['', '1:1', 'found the end of the statement'],
    ['SELECT 1 SELECT 2', '1:10', 'found the keyword SELECT'],
  ])('%s', (text, at, message) => {
    const error = failure(text)
    expect(error?.code).toBe('INVALID_SQL')
    expect(error?.message).toContain(`syntax error at ${at}: `)
    expect(error?.message).toContain(message)
  })

  test('what Flink has and we have not is refused by name', () => {
    const error = failure('SELECT *\nFROM t MATCH_RECOGNIZE (PATTERN (A))')
    expect([error?.code, error?.message]).toEqual(['UNSUPPORTED', 'MATCH_RECOGNIZE is not supported, at 2:8'])
    expect(error?.detail['excerpt']).toBe('FROM t MATCH_RECOGNIZE (PATTERN (A))\n       ^')
  })

  test('a long line is cut around the caret', () => {
    const excerpt = String(failure(`SELECT ${'a, '.repeat(200)}FROM t`)?.detail['excerpt'])
    const [line = '', caret = ''] = excerpt.split('\n')
    expect(line.length).toBeLessThanOrEqual(120)
    expect(line.slice(caret.length - 1)).toMatch(/^FROM t/)
  })
})

describe('scripts', () => {
  const script = `-- two statements and a set
SELECT ';' AS x; ;
SET 'a' = 'b';
EXECUTE STATEMENT SET BEGIN INSERT INTO s SELECT 1; INSERT INTO u SELECT 2; END;
  SELECT 2`

  test('are split at the semicolons that end statements', () => {
    expect(splitScript(script).map(({ text, pos }) => [pos.line, pos.column, text.slice(0, 12)])).toEqual([
      [2, 1, "SELECT ';' A"],
      [3, 1, "SET 'a' = 'b"],
      [4, 1, 'EXECUTE STAT'],
      [5, 3, 'SELECT 2'],
    ])
    expect(parseScript(script).map(({ text }) => text)).toEqual(splitScript(script).map(({ text }) => text))
  })

  test('keep positions of the whole text in their errors', () => {
    expect(() => parseScript("SELECT 1;\nSET 'a' = 'b';\nSELECT FROM t")).toThrow('syntax error at 3:8: ')
  })

  test('statement sets may also be statements of their own', () => {
    const kinds = parseScript('BEGIN STATEMENT SET; INSERT INTO s SELECT 1; END;').map(({ statement }) => statement.kind)
    expect(kinds).toEqual(['beginStatementSet', 'insert', 'endStatementSet'])
  })
})
