import { describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { type ConfigOption, Configuration, flattenConfiguration, parseDuration, parseDynamicProperties, parseMemorySize } from './config.ts'

const parallelism: ConfigOption<number> = { key: 'parallelism.default', type: 'int', defaultValue: 1, doc: '' }
const interval: ConfigOption<number> = { key: 'heartbeat.interval', type: 'duration', defaultValue: 10_000, doc: '' }
const address: ConfigOption<string | undefined> = { key: 'rest.address', type: 'string', defaultValue: undefined, doc: '' }
const segment: ConfigOption<number> = { key: 'taskmanager.memory.segment-size', type: 'memory', defaultValue: 32768, doc: '' }
const chaining: ConfigOption<boolean> = { key: 'pipeline.operator-chaining.enabled', type: 'boolean', defaultValue: true, doc: '' }
const mode: ConfigOption<string> = { key: 'execution.runtime-mode', type: 'enum', defaultValue: 'STREAMING', values: ['STREAMING', 'BATCH'], doc: '' }
const dirs: ConfigOption<readonly string[]> = { key: 'io.tmp.dirs', type: 'list', defaultValue: [], doc: '' }
const restart: ConfigOption<string> = { key: 'restart-strategy.type', type: 'string', defaultValue: 'none', doc: '' }
const tables = [
  [parallelism, interval, address, segment],
  [chaining, mode, dirs, restart],
]

describe('durations', () => {
  test.each([
    ['5 s', 5_000],
    ['200ms', 200],
    ['1 min', 60_000],
    ['2 h', 7_200_000],
    ['1 d', 86_400_000],
    ['3 m', 180_000],
    ['250', 250],
    ['7 seconds', 7_000],
    ['5 micros', 0.005],
    ['PT1M30S', 90_000],
    ['P1D', 86_400_000],
  ])('%s is %d ms', (text, ms) => expect(parseDuration(text)).toBe(ms))

  test.each(['', 's', '-5 s', '5 parsecs', '1.5 s', 'P', 'PT', 'constructor', '1 toString'])('%j is refused', text =>
    expect(() => parseDuration(text)).toThrow('does not parse'),
  )

  test('a number is milliseconds', () => expect(parseDuration(1500)).toBe(1500))
})

describe('memory sizes', () => {
  test.each([
    ['1024', 1024],
    ['64 mb', 64 * 2 ** 20],
    ['1g', 2 ** 30],
    ['512K', 512 * 1024],
    ['3 bytes', 3],
  ])('%s is %d bytes', (text, bytes) => expect(parseMemorySize(text)).toBe(bytes))

  test('an unknown unit is refused', () => expect(() => parseMemorySize('5 pb')).toThrow('expected for example "64 mb"'))
})

describe('parse', () => {
  test('hands out values in the type of their option and defaults where nothing is set', () => {
    const { configuration, problems } = Configuration.parse(
      {
        'parallelism.default': '4',
        'heartbeat.interval': '2 s',
        'taskmanager.memory.segment-size': '4 kb',
        'execution.runtime-mode': 'batch',
        'io.tmp.dirs': '/a;/b',
      },
      tables,
    )
    expect(problems).toEqual([])
    expect(configuration.get(parallelism)).toBe(4)
    expect(configuration.get(interval)).toBe(2_000)
    expect(configuration.get(segment)).toBe(4096)
    expect(configuration.get(mode)).toBe('BATCH')
    expect(configuration.get(dirs)).toEqual(['/a', '/b'])
    expect(configuration.get(chaining)).toBe(true)
    expect(configuration.get(address)).toBeUndefined()
    expect(configuration.has('rest.address')).toBe(false)
  })

  test('reports every problem at once, with key, expected form and value', () => {
    const { problems } = Configuration.parse(
      {
        'parallelism.default': 'four',
        'heartbeat.interval': '2 lightyears',
        'pipeline.operator-chaining.enabled': 'yes',
        'execution.runtime-mode': 'FAST',
        'heartbeet.interval': '1 s',
        'something.nobody.has.ever.heard.of': '1',
        'execution.checkpointing.interval': '10 s',
        'metrics.reporter.prom.port': '9249',
      },
      tables,
    )
    expect(problems).toEqual([
      'option parallelism.default: expected a whole number, got "four"',
      'option heartbeat.interval: expected a duration such as "10 s", "200 ms" or "5 min", got "2 lightyears"',
      'option pipeline.operator-chaining.enabled: expected true or false, got "yes"',
      'option execution.runtime-mode: expected one of STREAMING, BATCH, got "FAST"',
      'unknown option heartbeet.interval, did you mean heartbeat.interval?',
      'unknown option something.nobody.has.ever.heard.of',
      'option execution.checkpointing.interval is not supported yet',
      'option metrics.reporter.prom.port is not supported yet',
    ])
  })

  test('maps a 1.x spelling with a warning; the new spelling wins in one layer', () => {
    const { configuration, warnings } = Configuration.parse({ 'restart-strategy': 'fixed-delay' }, tables)
    expect(configuration.get(restart)).toBe('fixed-delay')
    expect(warnings).toEqual(['option restart-strategy is a deprecated spelling, use restart-strategy.type'])
    const both = Configuration.parse({ 'restart-strategy.type': 'none', 'restart-strategy': 'fixed-delay' }, tables)
    expect(both.configuration.get(restart)).toBe('none')
  })

  test('a 1.x spelling of something unsupported is refused by its new name', () => {
    expect(Configuration.parse({ 'state.checkpoints.dir': 'file:///x' }, tables).problems).toEqual([
      'option execution.checkpointing.dir is not supported yet',
    ])
  })
})

describe('layers', () => {
  test('default < file < client < environment, and the origin is remembered', () => {
    const { configuration, problems } = Configuration.parseLayers(
      [
        { origin: 'file', name: 'config.yaml', entries: { 'parallelism.default': '2', 'heartbeat.interval': '1 s' } },
        { origin: 'client', name: '-D', entries: { 'parallelism.default': '3' } },
      ],
      tables,
    )
    expect(problems).toEqual([])
    expect([configuration.get(parallelism), configuration.originOf('parallelism.default')]).toEqual([3, 'client'])
    expect([configuration.get(interval), configuration.originOf('heartbeat.interval')]).toEqual([1_000, 'file'])
    expect(configuration.originOf('rest.address')).toBe('default')
    const inCode = configuration.with({ 'parallelism.default': '5' }, 'environment')
    expect([inCode.get(parallelism), inCode.originOf('parallelism.default')]).toEqual([5, 'environment'])
    expect(configuration.get(parallelism)).toBe(3)
  })

  test('a value of Flink that is not there says why', () => {
    const option = {
      key: 'a.b',
      type: 'enum',
      defaultValue: 'x',
      values: ['x'],
      refusedValues: { big: 'BIG is not supported yet' },
      doc: '',
    } as const
    expect(Configuration.parseLayers([{ origin: 'client', name: '-D', entries: { 'a.b': 'Big' } }], [[option]]).problems).toEqual([
      'option a.b: BIG is not supported yet (-D)',
    ])
  })

  test('an old spelling of a stronger layer wins over the new one of a weaker layer', () => {
    const { configuration } = Configuration.parseLayers(
      [
        { origin: 'file', name: 'config.yaml', entries: { 'restart-strategy.type': 'none' } },
        { origin: 'client', name: '-D', entries: { 'restart-strategy': 'failure-rate' } },
      ],
      tables,
    )
    expect(configuration.get(restart)).toBe('failure-rate')
  })

  test('a problem names the layer it stands in', () => {
    const { problems } = Configuration.parseLayers([{ origin: 'file', name: 'conf/config.yaml', entries: { 'parallelism.defualt': '2' } }], tables)
    expect(problems).toEqual(['unknown option parallelism.defualt, did you mean parallelism.default? (conf/config.yaml)'])
  })
})

test('nested, flat and mixed YAML flatten to the same entries', () => {
  const nested = 'taskmanager:\n  memory:\n    segment-size: 4kb\n  numberOfTaskSlots: 2\nrest.port: 8081\nio:\n  tmp.dirs: [/a, /b]\n'
  expect(flattenConfiguration(parseYaml(nested))).toEqual({
    'taskmanager.memory.segment-size': '4kb',
    'taskmanager.numberOfTaskSlots': '2',
    'rest.port': '8081',
    'io.tmp.dirs': '/a;/b',
  })
  expect(flattenConfiguration(null)).toEqual({})
  expect(() => flattenConfiguration(['x'])).toThrow('not a map')
  expect(() => flattenConfiguration({ rest: { port: null } })).toThrow('option rest.port has no value')
})

test('dynamic properties split at the first equals sign', () => {
  expect(parseDynamicProperties(['a=1', 'b=x=y', 'c='])).toEqual({ a: '1', b: 'x=y', c: '' })
  expect(() => parseDynamicProperties(['novalue'])).toThrow('dynamic property "novalue" is not of the form key=value')
})
