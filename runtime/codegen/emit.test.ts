import { expect, test } from 'vitest'
import { type Code, code, FunctionEmitter } from './emit.ts'

const hostile = ["'", '"', '`', '\n', '*/', '${x}', '__proto__', 'constructor', '\u2028', '\u2029', '</script>', '\\', 'k0', 'v0', '//', '\0']

test('a string, an object that looks like a piece, or a plain call is refused as source', () => {
  expect(() => code`return ${'process.exit()' as unknown as Code}`).toThrow('code pieces and numbers only')
  expect(() => code`return ${{ text: 'process.exit()' } as unknown as Code}`).toThrow('code pieces and numbers only')
  expect(() => code(['return 1'] as unknown as TemplateStringsArray)).toThrow('tag of a template')
  expect(() => code(Object.assign(['return 1'], { raw: ['return 1'] }) as unknown as TemplateStringsArray)).toThrow('tag of a template')
})

test('hostile values come back as they went in, and never stand in the source', () => {
  const emitter = new FunctionEmitter()
  const list = emitter.define(code`[]`)
  for (const value of hostile) emitter.line(code`${list}.push(${emitter.constant(value)})`)
  emitter.line(code`return ${list}`)
  const { run, source } = emitter.build<() => string[]>({ job: hostile.join(''), vertex: '\n*/ alert()' }, [])
  expect(run()).toEqual(hostile)
  expect(source).not.toContain('__proto__\n')
  expect(source.split('\n').filter(line => line.includes('alert'))).toEqual([
    expect.stringMatching(/^\/\/# sourceURL=millrace\/[\w-]*\/[\w-]*\/\d+$/),
  ])
})

test('numbers keep their value as source: -0, NaN, infinities, the ends of 64 bits', () => {
  const numbers = [0, -0, 1.5, -1e300, 5e-324, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const emitter = new FunctionEmitter()
  const list = emitter.define(code`[]`)
  for (const value of numbers) emitter.line(code`${list}.push(1 * ${value})`)
  emitter.line(code`${list}.push(${-(2n ** 63n)}, ${2n ** 64n})`)
  emitter.line(code`return ${list}`)
  expect(emitter.build<() => unknown[]>({ job: 'j', vertex: 'v' }, []).run()).toEqual([...numbers, -(2n ** 63n), 2n ** 64n])
})

test('equal functions have different source, so that they do not share feedback', () => {
  const make = () => {
    const emitter = new FunctionEmitter()
    emitter.line(code`return 1`)
    return emitter.build<() => number>({ job: 'j', vertex: 'v' }, []).source
  }
  expect(make()).not.toBe(make())
})

test('an equal constant is passed once, -0 and 0 apart', () => {
  const emitter = new FunctionEmitter()
  expect(emitter.constant('a').text).toBe(emitter.constant('a').text)
  expect(emitter.constant(0).text).not.toBe(emitter.constant(-0).text)
  expect(emitter.constant(1).text).not.toBe(emitter.constant(1n).text)
})
