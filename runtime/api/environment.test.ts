import { describe, expect, test } from 'vitest'
import {
  CheckpointingMode,
  DataGeneratorSource,
  EmbeddedRocksDBStateBackend,
  ExecutionEnvironment,
  FileSystemCheckpointStorage,
  FsStateBackend,
  HashMapStateBackend,
  JobManagerCheckpointStorage,
  MemoryStateBackend,
  ParameterTool,
  RestartStrategies,
  type RestartStrategyConfiguration,
  StreamExecutionEnvironment,
  Types,
  WatermarkStrategy,
} from '../../bin/api.ts'
import { buildJobGraph } from '../graph/job-graph-builder.ts'

const program = (
  settings: Parameters<typeof StreamExecutionEnvironment.createForProgram>[0],
  build: (env: StreamExecutionEnvironment) => unknown,
) => {
  const env = StreamExecutionEnvironment.createForProgram(settings)
  build(env)
  return env.getStreamGraph()
}

describe('precedence of parallelism', () => {
  const layers = { configuration: { 'parallelism.default': '2' }, client: { 'parallelism.default': '3' } }
  const parallelismOf = (build: (env: StreamExecutionEnvironment) => unknown, given: Partial<typeof layers> = layers) => {
    const source = buildJobGraph(program(given, build), given).vertices[0]
    return [source?.parallelism, source?.operators[0]?.parallelismOrigin]
  }
  const sequence = (env: StreamExecutionEnvironment) => env.fromSequence(1, 10)

  test('operator over environment over client over file over default', () => {
    expect(parallelismOf(env => sequence(env.setParallelism(4)).setParallelism(5).print())).toEqual([5, 'operator'])
    expect(parallelismOf(env => sequence(env.setParallelism(4)).print())).toEqual([4, 'environment'])
    expect(parallelismOf(env => sequence(env).print())).toEqual([3, 'client'])
    expect(parallelismOf(env => sequence(env).print(), { configuration: layers.configuration })).toEqual([2, 'configuration'])
    expect(parallelismOf(env => sequence(env).print(), {})).toEqual([1, 'default'])
  })

  test('options set in code win over the client', () => {
    const graph = program({ client: { 'pipeline.name': 'client' } }, env => sequence(env.configure('pipeline.name', 'code')).print())
    expect(graph.jobName).toBe('code')
    expect(graph.configuration).toEqual({ 'pipeline.name': 'code' })
  })
})

describe('name of the job', () => {
  test('execute over pipeline.name over the manifest or file', async () => {
    const settings = { client: { 'pipeline.name': 'option' }, defaultJobName: 'file' }
    expect(program(settings, env => void env.execute('first stream')).jobName).toBe('first stream')
    expect(program(settings, env => void env.execute()).jobName).toBe('option')
    expect(program({ defaultJobName: 'file' }, () => {}).jobName).toBe('file')
  })

  test('a second execute is refused: a program is one job', async () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    await env.execute()
    expect(() => void env.execute()).toThrow('a program is one job')
  })

  test('a name that is no text is refused', () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    // What a program without types may pass.
    expect(() => void env.execute({} as string)).toThrow('env.execute takes the name of the job, a text')
  })

  test('getExecutionEnvironment answers the environment of the program', () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    expect(StreamExecutionEnvironment.getExecutionEnvironment()).toBe(env)
  })
})

describe('batch and streaming', () => {
  const bounded = (env: StreamExecutionEnvironment) => env.fromElements(1).print()
  const unbounded = (env: StreamExecutionEnvironment) => env.socketTextStream('localhost', 7777).name('words').print()

  test('the mode comes from code, else the client', () => {
    expect(program({}, bounded).runtimeMode).toBe('STREAMING')
    expect(program({ client: { 'execution.runtime-mode': 'batch' } }, bounded).runtimeMode).toBe('BATCH')
    expect(program({ client: { 'execution.runtime-mode': 'BATCH' } }, env => bounded(env.setRuntimeMode('STREAMING'))).runtimeMode).toBe('STREAMING')
  })

  test('AUTOMATIC is batch when every source is bounded', () => {
    expect(program({}, env => bounded(env.setRuntimeMode('AUTOMATIC'))).runtimeMode).toBe('BATCH')
    expect(program({}, env => unbounded(env.setRuntimeMode('AUTOMATIC'))).runtimeMode).toBe('STREAMING')
  })

  test('an unbounded source in batch mode is refused by name', () => {
    expect(() => program({}, env => unbounded(env.setRuntimeMode('BATCH')))).toThrow("source 'words' is unbounded")
    expect(() =>
      program({}, env =>
        env
          .setRuntimeMode('BATCH')
          .fromSource(new DataGeneratorSource(i => i), WatermarkStrategy.noWatermarks(), 'gen')
          .print(),
      ),
    ).toThrow("source 'gen' is unbounded")
  })

  test('a worker builds with the mode that the planner settled on', () => {
    expect(program({ runtimeMode: 'BATCH' }, bounded).runtimeMode).toBe('BATCH')
  })
})

describe('sources', () => {
  test('sequences of numbers are SAFE_LONG, of bigints LONG', () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    expect(`${env.fromSequence(1, 3).getType()}`).toBe('SAFE_LONG')
    expect(`${env.fromSequence(1n, 3n).getType()}`).toBe('LONG')
    expect(() => env.fromSequence(1.5, 3)).toThrow(/whole numbers/)
  })

  test('values that do not fit their declared type are refused with the element', () => {
    expect(() => StreamExecutionEnvironment.createForProgram({}).fromCollection([1, 'x' as never], Types.INT)).toThrow(/element 1/)
  })

  test('bad arguments are refused where they are written', () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    expect(() => env.socketTextStream('', 7777)).toThrow(/host name/)
    expect(() => env.socketTextStream('h', 99_999)).toThrow(/port .* got 99999/)
    expect(() => env.readTextFile('')).toThrow(/path/)
    expect(() => env.fromCollection('text' as never)).toThrow(/array/)
    expect(() => env.addSource({ run() {} } as never)).toThrow(/cancel is missing/)
    expect(() => env.fromSource(new DataGeneratorSource(i => i), 'name' as never, 'x')).toThrow(/WatermarkStrategy/)
    expect(() => env.setParallelism(1.5)).toThrow(/whole number/)
  })

  test('an own source made of splits carries them in the graph', () => {
    const own = {
      boundedness: 'BOUNDED' as const,
      createSplits: () => [{ splitId: 'a', next: 0 }],
      createReader: () => {
        throw new Error('no reader is made while the graph is built')
      },
    }
    const graph = program({}, env => env.fromSource(own, WatermarkStrategy.noWatermarks(), 'own').print())
    expect(graph.nodes[0]?.definition.source).toEqual({ enumerator: 'static', options: { splits: [{ splitId: 'a', next: 0 }] }, bounded: true })
    const twice = { ...own, createSplits: () => [{ splitId: 'a' }, { splitId: 'a' }] }
    expect(() => program({}, env => env.fromSource(twice, WatermarkStrategy.noWatermarks(), 'own'))).toThrow("two splits have the splitId 'a'")
  })

  test('a cached file is read where it travelled to', () => {
    const cachedFiles = new Map([['shops', '/work/files/shops']])
    const env = StreamExecutionEnvironment.createForProgram({ cachedFiles })
    env.registerCachedFile('./data/shops.csv', 'shops')
    expect(env.getCachedFile('shops')).toBe('/work/files/shops')
    expect(() => env.getCachedFile('other')).toThrow("cached file 'other' is not registered")
  })

  test('cached files keep their name and path', () => {
    const env = StreamExecutionEnvironment.createForProgram({})
    env.registerCachedFile('./data/shops.csv', 'shops')
    expect(env.getCachedFiles()).toEqual({ shops: './data/shops.csv' })
    expect(() => env.registerCachedFile('./other.csv', 'shops')).toThrow(/registered twice/)
    expect(() => env.registerCachedFile('./other.csv', '../x')).toThrow(/one segment/)
  })
})

test('the interval of watermarks is an option, in milliseconds or text', () => {
  expect(program({}, env => env.getConfig().setAutoWatermarkInterval(5000)).configuration).toEqual({ 'pipeline.auto-watermark-interval': '5000 ms' })
  expect(program({}, env => env.getConfig().setAutoWatermarkInterval('2 s')).configuration).toEqual({ 'pipeline.auto-watermark-interval': '2000 ms' })
})

test('job parameters travel as one option', () => {
  const parameters = ParameterTool.fromArgs(['--brokers', 'host:9092', '--verbose'])
  const { configuration } = program({}, env => env.getConfig().setGlobalJobParameters(parameters))
  expect(JSON.parse(configuration['pipeline.global-job-parameters'] ?? '')).toEqual({ brokers: 'host:9092', verbose: 'true' })
})

describe('restart strategies', () => {
  const configured = (strategy: RestartStrategyConfiguration) =>
    StreamExecutionEnvironment.createForProgram({}).setRestartStrategy(strategy).getStreamGraph().configuration

  test("of Flink's names become the options of their keys", () => {
    expect(configured(RestartStrategies.fixedDelayRestart(60, '10 s'))).toEqual({
      'restart-strategy.type': 'fixed-delay',
      'restart-strategy.fixed-delay.attempts': '60',
      'restart-strategy.fixed-delay.delay': '10000 ms',
    })
    expect(configured(RestartStrategies.exponentialDelayRestart(500, '1 min', 2, '10 min', 0.2))).toEqual({
      'restart-strategy.type': 'exponential-delay',
      'restart-strategy.exponential-delay.initial-backoff': '500 ms',
      'restart-strategy.exponential-delay.max-backoff': '60000 ms',
      'restart-strategy.exponential-delay.backoff-multiplier': '2',
      'restart-strategy.exponential-delay.reset-backoff-threshold': '600000 ms',
      'restart-strategy.exponential-delay.jitter-factor': '0.2',
    })
    expect(configured(RestartStrategies.failureRateRestart(3, '5 min', '10 s'))).toEqual({
      'restart-strategy.type': 'failure-rate',
      'restart-strategy.failure-rate.max-failures-per-interval': '3',
      'restart-strategy.failure-rate.failure-rate-interval': '300000 ms',
      'restart-strategy.failure-rate.delay': '10000 ms',
    })
    expect(configured(RestartStrategies.noRestart())).toEqual({ 'restart-strategy.type': 'none' })
    expect(configured(RestartStrategies.fallBackRestart())).toEqual({})
  })

  test.each([
    [() => RestartStrategies.fixedDelayRestart(-1, 1), 'RestartStrategies.fixedDelayRestart: restartAttempts is a whole number from 0, got -1'],
    [
      () => RestartStrategies.fixedDelayRestart(1, 'soon'),
      'fixedDelayRestart: delayBetweenAttempts is milliseconds or a text such as "10 s", got "soon"',
    ],
    [() => RestartStrategies.failureRateRestart(0, 1, 1), 'failureRateRestart: failureRate is a whole number from 1, got 0'],
    [() => RestartStrategies.exponentialDelayRestart(1, 1, 0.5, 1, 0), 'exponentialDelayRestart: backoffMultiplier is a number from 1, got 0.5'],
    [() => RestartStrategies.exponentialDelayRestart(1, 1, 2, 1, 2), 'exponentialDelayRestart: jitterFactor is a number from 0 to 1, got 2'],
    [
      () => StreamExecutionEnvironment.createForProgram({}).setRestartStrategy('fixed-delay' as never),
      'env.setRestartStrategy takes what RestartStrategies makes',
    ],
  ])('what cannot be is refused with its argument: %#', (make, message) => {
    expect(make).toThrow(message)
  })
})

describe("names of Flink's that are not there", () => {
  test('the DataSet API points to the same program in batch mode', () => {
    expect(() => ExecutionEnvironment.getExecutionEnvironment()).toThrow(/StreamExecutionEnvironment and keyBy instead of groupBy.*BATCH/)
  })

  test('unaligned checkpoints and RocksDB are refused by name', () => {
    const config = StreamExecutionEnvironment.createForProgram({}).getCheckpointConfig() as unknown as Record<string, () => unknown>
    expect(() => config['enableUnalignedCheckpoints']?.()).toThrow('enableUnalignedCheckpoints: unaligned checkpoints are not supported yet')
    expect(() => new (EmbeddedRocksDBStateBackend as unknown as new () => unknown)()).toThrow('RocksDB is not supported yet')
  })
})

describe('checkpoints in code', () => {
  const configured = (set: (env: StreamExecutionEnvironment) => unknown) => {
    const env = StreamExecutionEnvironment.createForProgram({
      client: { 'execution.checkpointing.interval': '7 s', 'state.backend.type': 'filesystem' },
    })
    set(env)
    return env.getConfiguration()
  }

  test('are the options of their keys, and win over the client', () => {
    const options = configured(env => {
      env.enableCheckpointing(1000, CheckpointingMode.AT_LEAST_ONCE)
      env
        .getCheckpointConfig()
        .setCheckpointTimeout('1 min')
        .setMinPauseBetweenCheckpoints(500)
        .setMaxConcurrentCheckpoints(2)
        .setTolerableCheckpointFailureNumber(3)
        .setExternalizedCheckpointRetention('RETAIN_ON_CANCELLATION')
        .setCheckpointStorage('file:///checkpoints')
      env.setStateBackend(new HashMapStateBackend())
    })
    expect(options).toEqual({
      'execution.checkpointing.interval': '1000 ms',
      'execution.checkpointing.mode': 'AT_LEAST_ONCE',
      'execution.checkpointing.timeout': '60000 ms',
      'execution.checkpointing.min-pause': '500 ms',
      'execution.checkpointing.max-concurrent-checkpoints': '2',
      'execution.checkpointing.tolerable-failed-checkpoints': '3',
      'execution.checkpointing.externalized-checkpoint-retention': 'RETAIN_ON_CANCELLATION',
      'execution.checkpointing.storage': 'filesystem',
      'execution.checkpointing.dir': 'file:///checkpoints',
      'state.backend.type': 'hashmap',
    })
  })

  test('an interval in code leaves the mode to the configuration', () => {
    expect(configured(env => env.configure('execution.checkpointing.mode', 'AT_LEAST_ONCE').enableCheckpointing('1 s'))).toMatchObject({
      'execution.checkpointing.interval': '1000 ms',
      'execution.checkpointing.mode': 'AT_LEAST_ONCE',
    })
  })

  test('storage is a directory, or an object that says where', () => {
    const storage = (env: StreamExecutionEnvironment) => env.getCheckpointConfig()
    expect(configured(env => storage(env).setCheckpointStorage(new JobManagerCheckpointStorage()))).toMatchObject({
      'execution.checkpointing.storage': 'jobmanager',
    })
    expect(configured(env => storage(env).setCheckpointStorage(new FileSystemCheckpointStorage('s3://b/p')))).toMatchObject({
      'execution.checkpointing.storage': 'filesystem',
      'execution.checkpointing.dir': 's3://b/p',
    })
  })

  test('backends by the names of Flink 1.x say where checkpoints go, too', () => {
    expect(configured(env => env.setStateBackend(new MemoryStateBackend()))).toMatchObject({ 'execution.checkpointing.storage': 'jobmanager' })
    expect(configured(env => env.setStateBackend(new FsStateBackend('file:///c')))).toMatchObject({
      'execution.checkpointing.storage': 'filesystem',
      'execution.checkpointing.dir': 'file:///c',
    })
  })

  test.each([
    [
      (env: StreamExecutionEnvironment) => env.enableCheckpointing('soon'),
      'checkpoint interval is milliseconds or a text such as "10 s", got "soon"',
    ],
    [
      (env: StreamExecutionEnvironment) => env.enableCheckpointing(1, 'ONCE' as never),
      'checkpoint mode is one of EXACTLY_ONCE, AT_LEAST_ONCE, got "ONCE"',
    ],
    [
      (env: StreamExecutionEnvironment) => env.getCheckpointConfig().setMaxConcurrentCheckpoints(0),
      'checkpoint max-concurrent-checkpoints is a whole number from 1, got 0',
    ],
    [(env: StreamExecutionEnvironment) => env.setStateBackend('hashmap' as never), 'env.setStateBackend takes a state backend'],
    [() => new FsStateBackend(''), 'FsStateBackend takes the URI of a directory'],
    [(env: StreamExecutionEnvironment) => env.getCheckpointConfig().setCheckpointStorage(''), 'setCheckpointStorage takes the URI of a directory'],
    // What a program without types may pass, as Flink's constructors take it.
    [() => Reflect.construct(MemoryStateBackend, [1024]), 'new MemoryStateBackend(…): no argument is supported, got 1 more'],
    [
      () => Reflect.construct(FsStateBackend, ['file:///c', true]),
      'new FsStateBackend(…): no argument behind the directory is supported, got 1 more',
    ],
  ])('what cannot be is refused with its argument: %#', (make, message) => {
    expect(() => configured(make as (env: StreamExecutionEnvironment) => unknown)).toThrow(message)
  })
})
