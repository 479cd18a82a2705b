import { expect, test } from 'vitest'
import { ParameterTool } from './parameter-tool.ts'

const args = (text: string) => ParameterTool.fromArgs(text === '' ? [] : text.split(' '))

test('reads values by name, with one dash or two', () => {
  const parameters = args('--host hadoop102 --port 7777 -rate 0.5')
  expect(parameters.get('host')).toBe('hadoop102')
  expect(parameters.getInt('port')).toBe(7777)
  expect(parameters.getDouble('rate')).toBe(0.5)
  expect(parameters.has('host')).toBe(true)
  expect(parameters.has('user')).toBe(false)
})

test('a negative number is a value, a name without a value is a flag', () => {
  const parameters = args('--offset -5 --verbose --name x')
  expect(parameters.getInt('offset')).toBe(-5)
  expect(parameters.getBoolean('verbose')).toBe(true)
  expect(parameters.get('name')).toBe('x')
})

test('defaults stand in for what is missing', () => {
  expect(args('').get('host', 'localhost')).toBe('localhost')
  expect(args('').getInt('port', 80)).toBe(80)
  expect(args('').getBoolean('loop', false)).toBe(false)
  expect(args('').get('host')).toBeUndefined()
})

test('a missing or malformed value names the argument', () => {
  expect(() => args('--port 1').getRequired('host')).toThrow('argument --host is required; given are --port')
  expect(() => args('--port x').getInt('port')).toThrow("argument --port: expected a whole number, got 'x'")
  expect(() => args('--port 7.5').getInt('port', 80)).toThrow("expected a whole number, got '7.5'")
  expect(() => args('--loop maybe').getBoolean('loop')).toThrow("argument --loop: expected true or false, got 'maybe'")
  expect(() => args('--host').get('host')).toThrow('argument --host has no value')
  expect(() => args('').getInt('port')).toThrow('argument --port is required')
  expect(() => args('stray --port 1')).toThrow("arguments are given as --name value, got 'stray'")
})
