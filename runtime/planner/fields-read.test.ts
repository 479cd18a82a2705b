import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../../test/support/runs.ts'
import { fieldsRead } from './fields-read.ts'

const names = ['a', 'b', 'c', 'd'] as const
type Row = Readonly<Record<(typeof names)[number], number>>

/** By source, so that no build step changes what is looked at. */
function made(source: string, mode: 'strict' | 'sloppy' = 'strict'): (row: unknown, other?: unknown) => unknown {
  return new Function(`${mode === 'strict' ? "'use strict'; " : ''}return ${source}`)()
}

function read(source: string, mode?: 'strict' | 'sloppy'): string | undefined {
  const indices = fieldsRead(made(source, mode), 'map', names)
  return indices?.map(index => names[index]).join(' ')
}

describe('what a function reads of its first parameter', () => {
  test.each<[source: string, fields: string]>([
    ['p => p.a', 'a'],
    ['(p) => p.b + p.a + p.b', 'a b'],
    ["p => p['c']", 'c'],
    ['p => p?.d', 'd'],
    ["p => p?.['d']", 'd'],
    ['() => 1', ''],
    ['p => 1', ''],
    ['_ => _.b', 'b'],
    ['(p, out) => { out.collect(p.a) }', 'a'],
    ['(p, other = p.b) => p.a + other', 'a b'],
    ['(p = {}) => p.a', 'a'],
    ['(p = { a: other => other.p }) => p.a', 'a'],
    ['function (p) { return p.a }', 'a'],
    ['function named(p) { return p.a > 0 ? p.b : named({ a: 1, b: 2 }) }', 'a b'],
    ['function p(p) { return p.a }', 'a'],
    ['async p => { await p.a; return p.c }', 'a c'],
    ['function* (p) { yield p.a; yield p.d }', 'a d'],
    ['({ a }) => a', 'a'],
    ['({ a: x, b: { c } }) => x + c', 'a b'],
    ["({ 'a': x, ['b']: y }) => x + y", 'a b'],
    ['({ a = 1, b: [first = 2] = [] }) => a + first', 'a b'],
    ['({ c } = { c: 1 }) => c', 'c'],
    ['({}) => 1', ''],
    ['({ a }) => ({ ...a, toString() { return a } })', 'a'],
    ['p => { const { a, b: x = p.c } = p; return a + x }', 'a b c'],
    ['p => { let { d } = p; d++; return d }', 'd'],
    ['p => { var { d } = p; return d }', 'd'],
    ['p => () => p.a', 'a'],
    ['p => [1, 2].map(x => x + p.a)', 'a'],
    ['p => [1, 2].map(p => p + 1)', ''],
    ['p => [{ z: p.a }].map(p => p.z)', 'a'],
    ['p => [1].map(function p() { return p }).length + p.b', 'b'],
    ['p => [1].map(([p]) => p, { p: 1 })', ''],
    ['p => [1].map(({ x: p = 1 }) => p)', ''],
    ['p => [1].map((...p) => p)', ''],
    ['p => { { let p = 5; p++; p.a = 3; delete p.b; } return p.a }', 'a'],
    ['p => { { class p {} new p() } return p.a }', 'a'],
    ['p => { { function p() {} p() } return p.a }', 'a'],
    ['p => { function p() {} return p.b }', ''],
    ['p => { const f = () => { var p = [1]; return p }; return f() + p.c }', 'c'],
    ['p => { const f = (x = p.d) => { var p = [1]; return p }; return f() }', 'd'],
    ['p => { try { return p.a } catch (p) { return p } }', 'a'],
    ['p => { for (const p of [1, 2]) f(p); function f() {} return p.b }', 'b'],
    ['p => { for (let p = 0; p < 3; p++) f(p); function f() {} return p.b }', 'b'],
    ['p => { for (const p in {}) f(p); function f() {} }', ''],
    ['p => { for (const x of [p.a]) if (x) return p.b }', 'a b'],
    ['p => (class p { x = p }) && p.a', 'a'],
    ['p => (class { x = p.a; static [p.b] = 1; m() { return p.c } })', 'a b c'],
    ['p => ({ p: 1, q: p.a, [p.b]: 2 })', 'a b'],
    ['p => { const o = { p: 1 }; return o.p + p.a }', 'a'],
    ['p => `${p.a}-${p.b}`', 'a b'],
    ['p => p.a.length + p.b.trim().p', 'a b'],
    ['p => { p.a.x = 1 }', 'a'],
    ['p => (0, p.a)()', 'a'],
    ['p => new p.a()', 'a'],
    ['p => typeof p.a', 'a'],
    ['p => void p.a', 'a'],
    ['p => { out: for (;;) { if (p.a) break out } }', 'a'],
    ['p => { const x = {}; x.y = p.a; x.z += p.b; [x.w] = [p.c]; ({ v: x.v = p.d } = {}); return x }', 'a b c d'],
    ['p => { switch (p.a) { case p.b: return p.c } }', 'a b c'],
    ['p => { if (p.a instanceof Object || p.b in { a: 1 }) throw new Error(p.c) }', 'a b c'],
    ['p => { const q = "p"; return q.p + /p/.test("p") }', ''],
  ])('%s', (source, fields) => {
    expect(read(source)).toBe(fields)
  })

  test.each<[source: string]>([
    ['p => p'],
    ['p => [p]'],
    ['p => ({ p })'],
    ['p => ({ ...p })'],
    ['p => [...p]'],
    ['p => f(p, p.a)'],
    ['p => f(...p)'],
    ['p => new F(p)'],
    ['p => p.a + JSON.stringify(p)'],
    ['p => `${p}`'],
    ['p => f`${p}`'],
    ['p => p.a()'],
    ['p => p?.a()'],
    ['p => p.a?.()'],
    ['p => (p?.a)()'],
    ['p => p.a`text`'],
    ['p => p.toString()'],
    ['p => p.toString'],
    ['p => p.length'],
    ['p => p.constructor'],
    ['p => p.__proto__'],
    ['p => p.e'],
    ['p => p[f()]'],
    ['p => p["a" + ""]'],
    ['p => p[`a`]'],
    ['p => p[Symbol.iterator]'],
    ['p => { for (const k in p) f(k) }'],
    ['p => { for (const v of p) f(v) }'],
    ['p => { for (p.a of []) f() }'],
    ['p => { for (p of []) f() }'],
    ['p => { for (p.a in {}) f() }'],
    ['p => { for (var p of []) f() }'],
    ['p => { p.a = 1; return p.a }'],
    ['p => { p.a += 1 }'],
    ['p => { p.a ??= 1 }'],
    ['p => p.a++'],
    ['p => --p["a"]'],
    ['p => { delete p.a }'],
    ['p => { delete p?.a }'],
    ['p => { [p.a] = [1] }'],
    ['p => { ({ x: p.a } = {}) }'],
    ['p => { ({ x: [p.a = 3] } = {}) }'],
    ['p => { ({ ...p.a } = {}) }'],
    ['p => { p = {} }'],
    ['p => { [p] = [1] }'],
    ['p => { ({ p } = {}) }'],
    ['p => { var p = { a: 1 }; return p.a }'],
    ['p => { const q = p; return q.a }'],
    ['p => { let q; q = p; return q.a }'],
    ['p => { let a; ({ a } = p); return a }'],
    ['p => { const { a, ...rest } = p; return rest }'],
    ['p => { const [a, ...rest] = p; return rest }'],
    ['p => { const { [f()]: a } = p; return a }'],
    ['p => { throw p }'],
    ['async p => await p'],
    ['function* (p) { yield p }'],
    ['p => p == null'],
    ['p => "a" in p'],
    ['p => p instanceof Object'],
    ['p => (q => q.a)(p)'],
    ['p => ((q = p) => q.a)()'],
    ['(p, q = p) => q.a'],
    ['p => [1].map((p, q = p) => q) && p'],
    ['p => { { let q = p } }'],
    ['p => { try { f() } catch { return p } }'],
    ['p => (class { x = p })'],
    ['p => (class extends p {})'],
    ['p => ({ get x() { return p } })'],
    ['p => ({ [p]: 1 })'],
    ['p => eval("p.b")'],
    ['p => { const e = eval; return e("1") + p.a }'],
    ['function (p) { return arguments[0].b + p.a }'],
    ['p => { const f = function () { return arguments }; return p.a }'],
    ['({ a }) => eval("a")'],
    ['function ({ a }) { return arguments[0] }'],
    ['({ a, ...rest }) => a'],
    ['([a, ...rest]) => a'],
    ['({ [f()]: a }) => a'],
    ['({ length }) => length'],
    ['(...p) => p[0].a'],
    ['(p) => { for (let i = p; ; ) f(i) }'],
  ])('is not proved of %s', source => {
    expect(read(source)).toBeUndefined()
  })

  test.each<[source: string]>([
    // `f.arguments` gives the arguments of a sloppy function to anybody.
    ['function (p) { return p.a }'],
    ['function (p, p) { return p.a }'],
    ['p => { with (p) { return a } }'],
    ['p => { with ({}) { return p.a } }'],
  ])('is not proved of sloppy %s', source => {
    expect(read(source, 'sloppy')).toBeUndefined()
  })

  test('is proved of a sloppy arrow, which has no arguments', () => {
    expect(read('p => { { function p() {} } return p.a }', 'sloppy')).toBe('a')
  })

  test.each<[source: string, indices: readonly number[] | undefined]>([
    ['([, n]) => n', [1]],
    ['([word, , , last = 1]) => word + last', [0, 3]],
    ['p => p[2] + p["0"]', [0, 2]],
    ['p => { const [, b, [c]] = p; return b + c }', [1, 2]],
    ['({ 1: n }) => n', [1]],
    ['p => p[1.5]', undefined],
    ['p => p[-1]', undefined],
    ['p => p[1n]', undefined],
    ['p => p[4]', undefined],
    ['([, , , , five]) => five', undefined],
    ['p => p.map(x => x)', undefined],
    ['p => p.length', undefined],
  ])('of a tuple: %s', (source, indices) => {
    expect(fieldsRead(made(source), 'map', ['0', '1', '2', '3'])).toEqual(indices)
  })

  test('is not proved of functions without a source', () => {
    const bound = made('function (p) { return p.a }').bind(undefined)
    expect(fieldsRead(bound, 'map', names)).toBeUndefined()
    expect(fieldsRead(new Proxy(made('p => p.a') as object, {}), 'map', names)).toBeUndefined()
    expect(fieldsRead(Math.abs, 'map', names)).toBeUndefined()
    expect(fieldsRead(class {}, 'map', names)).toBeUndefined()
    expect(fieldsRead(undefined, 'map', names)).toBeUndefined()
    expect(fieldsRead({ map: 1 }, 'map', names)).toBeUndefined()
    expect(fieldsRead({}, 'map', names)).toBeUndefined()
  })

  test('does not believe a function that tells of another source', () => {
    const liar = Object.assign(made('p => p.a + p.b'), { toString: () => 'p => p.a' })
    expect(fieldsRead(liar, 'map', names)).toEqual([0, 1])
  })
})

describe('methods of an object', () => {
  class Base {
    readonly #factor = 2
    readonly name = 'x'
    map(row: Row): number {
      return this.scaled(row.c)
    }
    scaled(value: number): number {
      return value * this.#factor
    }
    filter(row: Row): boolean {
      return row.d > this.#factor
    }
    async invoke({ a }: Row): Promise<void> {
      await Promise.resolve(a)
    }
  }
  class Inherits extends Base {}
  class Overrides extends Base {
    override map(row: Row): number {
      return super.map(row)
    }
  }

  test('are what they are, own, inherited, in every form of writing them', () => {
    expect(fieldsRead(new Base(), 'map', names)).toEqual([2])
    expect(fieldsRead(new Inherits(), 'map', names)).toEqual([2])
    expect(fieldsRead(new Inherits(), 'filter', names)).toEqual([3])
    expect(fieldsRead(new Base(), 'invoke', names)).toEqual([0])
    expect(fieldsRead({ map: (row: Row) => row.b }, 'map', names)).toEqual([1])
    expect(fieldsRead(made('{ map(p) { return p.a } }'.replace(/^/, '(').replace(/$/, ')')), 'map', names)).toEqual([0])
    expect(fieldsRead(made("({ ['map'](p) { return p.a } })"), 'map', names)).toEqual([0])
    expect(fieldsRead(made('({ async *map(p) { yield p.a } })'), 'map', names)).toEqual([0])
    expect(fieldsRead(made('new (class { map = p => p.b })()'), 'map', names)).toEqual([1])
    expect(fieldsRead(made('({ function(p) { return p.b } })'), 'function', names)).toEqual([1])
    expect(fieldsRead(made('({ get(p) { return p.b } })'), 'get', names)).toEqual([1])
  })

  test('are not proved where they hand the row on, or may be others when they are called', () => {
    expect(fieldsRead(new Overrides(), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('({ open() { this.map = p => p.b }, map(p) { return p.a } })'), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('({ map(p) { this.map = q => q.b; return p.a } })'), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('({ map(p) { this[p.c] = q => q.b; return p.a } })'), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('({ get map() { return p => p.a } })'), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('new Proxy({ map: p => p.a }, { get: () => p => p.b })'), 'map', names)).toBeUndefined()
    expect(fieldsRead(made('Object.create(new Proxy({ map: p => p.a }, {}))'), 'map', names)).toBeUndefined()
  })
})

describe('random functions', () => {
  /** Expressions over `p` (the row, unless a scope hides it), of numbers; some give the row away. */
  const { expression } = fc.letrec<{ expression: string }>(tie => {
    const inner = tie('expression')
    const field = fc.constantFrom(...names)
    const of = (make: (x: string, y: string, f: string, g: string) => string) => fc.tuple(inner, inner, field, field).map(parts => make(...parts))
    const fresh = '{ a: 11, b: 12, c: 13, d: 14 }'
    return {
      expression: fc.oneof(
        { maxDepth: 4, depthIdentifier: 'e' },
        fc.constantFrom('1', 'p.a', 'p.b', 'p.c', 'p?.d', "p['a']", 'p.b'),
        of((x, y) => `(${x} + ${y})`),
        of((x, y, f) => `(p.${f} > ${x} ? ${y} : p.${f})`),
        of((x, _, f) => `[${x}, p.${f}].map(q => q * 2 + p.${f})[1]`),
        of((x, _, f) => `[${fresh}].map(p => p.${f} + ${x})[0]`),
        of((x, y, f, g) => `(({ ${f}, ${g}: p }) => ${f === g ? 1 : f} + (p > 12 ? 1 : 2))(${fresh}) + ${x} + ${y}`),
        of((x, _, f) => `(() => { const { ${f}: v = ${x} } = p; return v })()`),
        of((x, _, f) => `(() => { let p = ${fresh}; p.${f} = 3; return ${x} + p.${f} })()`),
        of((x, y, f) => `((x = ${y}) => { var p = ${fresh}; return ${x} + x + p.${f} })()`),
        of((x, _, f) => `(() => { for (const p of [${fresh}]) if (p.${f} > 12) return ${x}; return p.${f} })()`),
        of((x, y) => `(() => { try { throw ${fresh} } catch (p) { return ${x} } finally { ${y} } })()`),
        of((x, y, f) => `(function p() { return p.${f} === undefined ? 1 : 2 })() + ${x} + ${y}`),
        of((x, _, f) => `(() => { { function p() {} p.${f} = 1 } return ${x} + p.${f} })()`),
        of((x, _, f) => `(class { static v = p.${f} + ${x} }).v`),
        of((x, y, f) => `(class p { static ${f} = 5; static v = p.${f} + ${x} }).v + ${y}`),
        of((_x, _y, f) => `((q, r = p.${f}) => r)(1)`),
        of((_x, _y, f) => `((p, r = p.${f}) => r)(${fresh})`),
        // The row gets away, or may.
        of((x, _, f) => `(q => q.${f} + ${x})(p)`),
        of((x, _, f) => `((q = p) => q.${f} + ${x})()`),
        of((x, _, f) => `({ ...p }).${f} + ${x}`),
        of((x, _, f) => `p[${x} > 1 ? '${f}' : 'a']`),
        of(x => `Object.values(p).length + ${x}`),
        of((x, _, f) => `(() => { const { ${f}, ...rest } = p; return rest.a + ${x} })()`),
        of((x, _, f) => `(() => { const q = p; return q.${f} + ${x} })()`),
        of((x, _, f) => `(p.${f}++ + ${x})`),
        of((x, _, f) => `eval('p.${f}') + ${x}`),
        of((x, _, f) => `(() => { ({ ${f}: p.${f} } = { ${f}: ${x} }); return p.${f} })()`),
      ),
    }
  })
  const parameters = fc.constantFrom(
    'p',
    'p = {}',
    '{ a: p }',
    '{ a, b: p = 1, ...rest }',
    '{ c, d = 2, p = { a: c, b: d } }',
    'p, x = p.a',
    'p, { y = p.b } = {}',
  )
  const source = fc.tuple(parameters, expression).map(([parameter, body]) => `(${parameter}) => ${body}`)

  const row: Row = { a: 1, b: 20, c: 300, d: 4000 }

  /** What a call gives, or that it throws; also what a function that is one of its results would. */
  function resultOf(fn: (row: unknown) => unknown, given: unknown): unknown {
    try {
      return fn(given)
    } catch (error) {
      return String(error)
    }
  }

  test('read no field that was not proved to be read, and do not notice when the others are not there', () => {
    let proved = 0
    let refused = 0
    fc.assert(
      fc.property(source, text => {
        const fn = made(text)
        const indices = fieldsRead(fn, 'map', names)
        if (indices === undefined) {
          refused++
          return
        }
        if (indices.length < names.length) proved++
        const read = new Set<string>()
        const everything = (): never => {
          throw new Error('the row as a whole is looked at')
        }
        const recorder = new Proxy(
          { ...row },
          {
            get: (target, name) => {
              read.add(String(name))
              return Reflect.get(target, name)
            },
            has: everything,
            ownKeys: everything,
            set: everything,
            deleteProperty: everything,
            defineProperty: everything,
            getPrototypeOf: everything,
            getOwnPropertyDescriptor: everything,
          },
        )
        const expected = resultOf(fn, { ...row })
        expect(resultOf(fn, recorder)).toEqual(expected)
        const allowed = indices.map(index => names[index]!)
        expect(allowed).toEqual(expect.arrayContaining([...read]))
        for (const missing of [undefined, -1]) {
          const projected = Object.fromEntries(names.map(name => [name, allowed.includes(name) ? row[name] : missing]))
          expect(resultOf(fn, projected)).toEqual(expected)
        }
      }),
      { numRuns: runs(5_000) },
    )
    // Not by refusing everything.
    expect(proved).toBeGreaterThan(runs(5_000) / 10)
    expect(refused).toBeGreaterThan(runs(5_000) / 10)
  })
})
