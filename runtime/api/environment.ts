import { Configuration, parseDuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition, StreamGraph, StreamNode } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { Types } from '../serde/types.ts'
import { isOwnStateBackend, type OwnStateBackend } from '../state/own-backend.ts'
import type { SourceLike } from '../stream/functions.ts'
import { normaliseSource } from '../stream/functions.ts'
import { WatermarkStrategy } from '../time/watermark-strategy.ts'
import type { SplitSource } from './built-in-connectors.ts'
import { builtInConnectors } from './built-in-connectors.ts'
import { CheckpointConfig, type CheckpointingMode, StateBackend } from './checkpoint-config.ts'
import { DataStreamSource } from './data-stream.ts'
import { type NewNode, StreamGraphBuilder } from './graph-builder.ts'
import { checkParallelism } from './node-settings.ts'
import { pipelineName, runtimeModeOption } from './options.ts'
import { ParameterTool } from './parameter-tool.ts'
import { refuseByName } from './refusals.ts'
import type { RestartStrategyConfiguration } from './restart-strategies.ts'
import type { Source } from './sources.ts'
import { CollectionSource, NumberSequenceSource, SocketSource, splitSourceDefinition, TextFileSource } from './sources.ts'

/** What the client and the cluster say, for a program that asks: weakest first, configuration file, then client. */
export interface EnvironmentSettings {
  readonly configuration?: Readonly<Record<string, string>>
  readonly client?: Readonly<Record<string, string>>
  /** Name of the job when neither the program nor `pipeline.name` gives one: the manifest's or the file's. */
  readonly defaultJobName?: string
  /** On a worker: the mode that the planner settled on, so that both build the same graph. */
  readonly runtimeMode?: StreamGraph['runtimeMode']
  /** Declared files by name, where they are readable; undefined while planning. */
  readonly cachedFiles?: ReadonlyMap<string, string>
}

/** Overloads with it come first, so that `['a', 1]` is a tuple to the compiler and not an array. */
type Tuple = [unknown, ...unknown[]]

export type RuntimeExecutionMode = 'STREAMING' | 'BATCH' | 'AUTOMATIC'

/**
 * Builds a job's graph. A program gets one as its argument; `getExecutionEnvironment` answers the same one.
 *
 * Precedence of what can be set in several places: an operator's own > the environment (here) > client (`-p`, `-D`) > configuration file.
 */
export class StreamExecutionEnvironment {
  private static current: StreamExecutionEnvironment | undefined

  private readonly settings: EnvironmentSettings
  private readonly graph = new StreamGraphBuilder()
  private readonly configured = new Map<string, string>()
  private readonly cachedFiles = new Map<string, string>()
  private parallelism: number | undefined
  private maxParallelism: number | undefined
  private chainingEnabled = true
  private ownStateBackend: OwnStateBackend | undefined
  private jobName: string | undefined
  private executed = false

  private constructor(settings: EnvironmentSettings) {
    this.settings = settings
  }

  /** The environment of the program that is being built; outside of one, a new one. */
  static getExecutionEnvironment(): StreamExecutionEnvironment {
    return (StreamExecutionEnvironment.current ??= new StreamExecutionEnvironment({}))
  }

  /** For who runs programs: one new environment, which is the current one from now on. */
  static createForProgram(settings: EnvironmentSettings): StreamExecutionEnvironment {
    return (StreamExecutionEnvironment.current = new StreamExecutionEnvironment(settings))
  }

  setParallelism(parallelism: number): this {
    checkParallelism(parallelism, 'env.setParallelism: parallelism')
    this.parallelism = parallelism
    return this
  }

  /** Of the environment; undefined = client or configuration decide. */
  getParallelism(): number | undefined {
    return this.parallelism
  }

  setMaxParallelism(maxParallelism: number): this {
    checkParallelism(maxParallelism, 'env.setMaxParallelism: max parallelism')
    this.maxParallelism = maxParallelism
    return this
  }

  getMaxParallelism(): number | undefined {
    return this.maxParallelism
  }

  disableOperatorChaining(): this {
    this.chainingEnabled = false
    return this
  }

  /** Sets one option by its key, or several. */
  configure(key: string, value: string | number | boolean): this
  configure(options: Readonly<Record<string, string | number | boolean>>): this
  configure(first: string | Readonly<Record<string, string | number | boolean>>, value?: string | number | boolean): this {
    const options = typeof first === 'string' ? { [first]: value } : first
    for (const [key, each] of Object.entries(options)) {
      if (key === '' || (typeof each !== 'string' && typeof each !== 'number' && typeof each !== 'boolean'))
        throw new FlinkError('INVALID_PROGRAM', `env.configure takes an option's key and its value, got ${JSON.stringify(key)} and ${typeof each}`)
      this.configured.set(key, String(each))
    }
    return this
  }

  /** Wins over the command line, the manifest and the cluster, as everything in code. */
  setRestartStrategy(strategy: RestartStrategyConfiguration): this {
    if (typeof strategy?.options !== 'object')
      throw new FlinkError(
        'INVALID_PROGRAM',
        'env.setRestartStrategy takes what RestartStrategies makes, as in RestartStrategies.fixedDelayRestart(3, "10 s")',
      )
    return this.configure(strategy.options)
  }

  /** A checkpoint every `interval` (milliseconds, or a text such as `10 s`). Without `mode` it is what is configured. */
  enableCheckpointing(interval: number | string, mode?: CheckpointingMode): this {
    const config = this.getCheckpointConfig().setCheckpointInterval(interval)
    if (mode !== undefined) config.setCheckpointingConsistencyMode(mode)
    return this
  }

  getCheckpointConfig(): CheckpointConfig {
    return new CheckpointConfig(this)
  }

  /** One that comes with the engine, or one of your own. */
  setStateBackend(backend: StateBackend | OwnStateBackend): this {
    const own = backend instanceof StateBackend ? undefined : backend
    if (own !== undefined && !isOwnStateBackend(own))
      throw new FlinkError(
        'INVALID_PROGRAM',
        'env.setStateBackend takes a state backend, as in new HashMapStateBackend(), or an object with name, can: { snapshots, incremental } and createStore',
      )
    this.ownStateBackend = own
    return this.configure(backend instanceof StateBackend ? backend.options : { 'state.backend.type': 'own' })
  }

  setRuntimeMode(mode: RuntimeExecutionMode): this {
    if (!runtimeModeOption.values?.includes(mode))
      throw new FlinkError('INVALID_PROGRAM', `env.setRuntimeMode takes one of ${runtimeModeOption.values?.join(', ')}, got ${mode}`)
    return this.configure(runtimeModeOption.key, mode)
  }

  getConfig(): ExecutionConfig {
    return new ExecutionConfig(this)
  }

  /** The options in effect: those set here over the client's over the file's. */
  getConfiguration(): Record<string, string> {
    return { ...this.settings.configuration, ...this.settings.client, ...Object.fromEntries(this.configured) }
  }

  fromCollection<T extends Tuple>(values: Iterable<T>, type?: TypeInformation<T>): DataStreamSource<T>
  fromCollection<T>(values: Iterable<T>, type?: TypeInformation<T>): DataStreamSource<T>
  fromCollection<T>(values: Iterable<T>, type?: TypeInformation<T>): DataStreamSource<T> {
    return this.addSourceNode('Collection Source', new CollectionSource(values, type), undefined)
  }

  fromElements<T extends Tuple>(...values: T[]): DataStreamSource<T>
  fromElements<T>(...values: T[]): DataStreamSource<T>
  fromElements<T>(...values: T[]): DataStreamSource<T> {
    return this.fromCollection(values)
  }

  fromSequence(from: number, to: number): DataStreamSource<number>
  fromSequence(from: bigint, to: bigint): DataStreamSource<bigint>
  fromSequence(from: number | bigint, to: number | bigint): DataStreamSource<number> | DataStreamSource<bigint> {
    // The two overloads are all there is; the source checks the same at run time.
    return this.addSourceNode('Sequence Source', new NumberSequenceSource(from, to), undefined) as DataStreamSource<number>
  }

  /** Lines of a file, or of every file in a folder. */
  readTextFile(path: string, options: { readonly loop?: boolean; readonly linesPerSecond?: number } = {}): DataStreamSource<string> {
    return this.addSourceNode('Custom File Source', new TextFileSource(path, options), undefined)
  }

  /** Lines from a server; its closing ends the input after `maxRetry` further attempts, a second apart. */
  socketTextStream(host: string, port: number, delimiter = '\n', maxRetry = 0): DataStreamSource<string> {
    return this.addSourceNode('Socket Stream', new SocketSource(host, port, delimiter, maxRetry), undefined)
  }

  fromSource<T>(source: Source<T> | SplitSource<T>, watermarkStrategy: WatermarkStrategy<T>, name: string): DataStreamSource<T> {
    if (!(watermarkStrategy instanceof WatermarkStrategy))
      throw new FlinkError('INVALID_PROGRAM', 'fromSource takes a source, a WatermarkStrategy (noWatermarks() for none) and a name')
    if (typeof name !== 'string' || name === '') throw new FlinkError('INVALID_PROGRAM', 'fromSource takes a name as its third argument')
    return this.addSourceNode(name, source, watermarkStrategy)
  }

  /** Own source: `{ run(ctx), cancel() }`, or a function of ctx. One subtask. */
  addSource<T>(source: SourceLike<T>, name = 'Custom Source', type?: TypeInformation<T>): DataStreamSource<T> {
    const outputType = (type ?? Types.GENERIC) as TypeInformation
    return this.addDefinition(name, builtInConnectors().functionSource(normaliseSource(source), outputType), outputType, true)
  }

  /** A file that travels with the program, by `name`. */
  registerCachedFile(path: string, name: string): void {
    if (typeof path !== 'string' || path === '' || typeof name !== 'string' || name === '' || /[\\/]/.test(name))
      throw new FlinkError('INVALID_PROGRAM', 'registerCachedFile takes a path and a name of one segment')
    const known = this.cachedFiles.get(name)
    if (known !== undefined && known !== path)
      throw new FlinkError('INVALID_PROGRAM', `cached file '${name}' is registered twice: ${known} and ${path}`)
    this.cachedFiles.set(name, path)
  }

  /** Where a registered file lies: on a worker the copy that travelled, while planning the path it was registered with. */
  getCachedFile(name: string): string {
    const path = this.settings.cachedFiles?.get(name) ?? this.cachedFiles.get(name)
    if (path === undefined)
      throw new FlinkError('INVALID_PROGRAM', `cached file '${name}' is not registered`, { registered: [...this.cachedFiles.keys()] })
    return path
  }

  /** name -> path as the program wrote it; the client adds them to the artefact. */
  getCachedFiles(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.cachedFiles)
  }

  /** For the table room, whose operators are made from plans: adds one node to the graph. */
  addNode(node: NewNode): StreamNode {
    return this.graph.add(node)
  }

  /** Optional inside a program: names the job. The job starts when the program's function has returned. */
  execute(name?: string): Promise<void> {
    // Thrown, not rejected: most programs do not await it, and a rejection that nobody awaits would be found only on the workers.
    if (this.executed) throw new FlinkError('INVALID_PROGRAM', 'env.execute was called twice: a program is one job')
    if (name !== undefined && typeof name !== 'string') throw new FlinkError('INVALID_PROGRAM', 'env.execute takes the name of the job, a text')
    this.executed = true
    if (name !== undefined) this.jobName = name
    return Promise.resolve()
  }

  /** Ends building. `jobName` > `pipeline.name` > the settings' default. */
  getStreamGraph(): StreamGraph {
    this.graph.finish()
    const configuration = Configuration.fromObject(this.getConfiguration())
    this.graph.runtimeMode = this.settings.runtimeMode ?? this.resolveMode(configuration.get(runtimeModeOption))
    return {
      nodes: this.graph.nodes,
      jobName: this.jobName ?? configuration.get(pipelineName) ?? this.settings.defaultJobName ?? 'Flink Streaming Job',
      runtimeMode: this.graph.runtimeMode,
      chainingEnabled: this.chainingEnabled,
      parallelism: this.parallelism,
      maxParallelism: this.maxParallelism,
      configuration: Object.fromEntries(this.configured),
      stateBackend: this.ownStateBackend,
    }
  }

  private resolveMode(mode: string): StreamGraph['runtimeMode'] {
    if (mode === 'STREAMING') return 'STREAMING'
    const unbounded = this.graph.nodes.find(node => node.kind === 'source' && node.definition.source?.['bounded'] !== true)
    if (mode === 'AUTOMATIC') return unbounded === undefined ? 'BATCH' : 'STREAMING'
    if (unbounded !== undefined)
      throw new FlinkError(
        'INVALID_PROGRAM',
        `source '${unbounded.name}' is unbounded, which ${runtimeModeOption.key} BATCH cannot run: a batch job emits its results at the end of the input; use STREAMING, or a bounded source`,
      )
    return 'BATCH'
  }

  private addSourceNode<T>(name: string, source: Source<T> | SplitSource<T>, watermarks: WatermarkStrategy<T> | undefined): DataStreamSource<T> {
    const type = (source?.producedType ?? Types.GENERIC) as TypeInformation
    if (isSource(source))
      return this.addDefinition(name, source.define(watermarks, Configuration.fromObject(this.getConfiguration())), type, source.nonParallel ?? false)
    if (typeof source?.createSplits === 'function' && typeof source.createReader === 'function')
      return this.addDefinition(name, splitSourceDefinition(source, watermarks), type, false)
    throw new FlinkError(
      'INVALID_PROGRAM',
      `source '${name}': expected a source of Millrace, or an own one with boundedness, createSplits and createReader; addSource takes { run, cancel }`,
    )
  }

  private addDefinition<T>(name: string, definition: OperatorDefinition, outputType: TypeInformation, nonParallel: boolean): DataStreamSource<T> {
    return new DataStreamSource<T>(this.graph, this.graph.add({ name, kind: 'source', definition, outputType, nonParallel }))
  }
}

/** Flink's `env.getConfig()`. */
export class ExecutionConfig {
  private readonly env: StreamExecutionEnvironment

  constructor(env: StreamExecutionEnvironment) {
    this.env = env
  }

  /** How often periodic watermarks are made; 0 = never. A number is milliseconds. */
  setAutoWatermarkInterval(interval: number | string): this {
    this.env.configure('pipeline.auto-watermark-interval', `${parseDuration(interval)} ms`)
    return this
  }

  setParallelism(parallelism: number): this {
    this.env.setParallelism(parallelism)
    return this
  }

  setMaxParallelism(maxParallelism: number): this {
    this.env.setMaxParallelism(maxParallelism)
    return this
  }

  /** `getRuntimeContext().getGlobalJobParameters()` shows them. */
  setGlobalJobParameters(parameters: ParameterTool | Readonly<Record<string, string>>): this {
    const map = parameters instanceof ParameterTool ? parameters.toMap() : parameters
    this.env.configure('pipeline.global-job-parameters', JSON.stringify(map))
    return this
  }
}

function isSource<T>(source: Source<T> | SplitSource<T>): source is Source<T> {
  return typeof (source as Partial<Source<T>> | undefined)?.define === 'function'
}

refuseByName(StreamExecutionEnvironment.prototype, 'env', {
  setStreamTimeCharacteristic: 'nothing needs it: give the stream a WatermarkStrategy for event time, and windows name the time they use',
  readFile: 'use readTextFile',
  fromData: 'use fromCollection or fromElements',
  createInput: 'use fromSource',
  setBufferTimeout: "use env.configure('execution.buffer-timeout.interval', '100 ms')",
  executeAsync: 'use execute: a program only builds the job',
  sqlQuery: 'SQL is not supported yet',
})
