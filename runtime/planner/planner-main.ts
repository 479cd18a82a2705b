import { createWriteStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { Configuration, type OptionTable, requireNoProblems } from '../common/config.ts'
import { FlinkError, type SerializedError, serializeError } from '../common/errors.ts'
import type { JobGraph } from '../graph/job-graph.ts'
import { buildJobGraph } from '../graph/job-graph-builder.ts'
import { planText } from '../graph/plan-text.ts'
import { mayProject, withProjections } from '../graph/projection.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { openArtifact } from './artifact.ts'
import {
  ANSWER_BYTES_MAX,
  ANSWER_FD,
  OUTPUT_CHARS_MAX,
  outOfMemory,
  type Plan,
  type PlanAnswer,
  type PlanRequest,
  tooSlow,
} from './planner-protocol.ts'
import { buildProgram } from './program.ts'

/**
 * The planner child. User code runs in a worker thread of it, never on its main thread: a program that loops for ever must not keep
 * the child from noticing its deadline or the end of its parent.
 *
 * Main thread: start the worker (it loads the API while nobody waits) -> read the request -> pass it on -> answer -> exit.
 * The first of answer, error, exit of the worker, deadline and end of stdin decides.
 */
export function servePlanner(self: URL, options: { readonly clock: Clock; readonly heapMb: number }): void {
  const output = new BoundedText(OUTPUT_CHARS_MAX)
  const worker = new Worker(self, {
    stdout: true,
    stderr: true,
    workerData: { role: 'plan' },
    resourceLimits: { maxOldGenerationSizeMb: options.heapMb },
  })
  worker.stdout.on('data', chunk => output.add(String(chunk)))
  worker.stderr.on('data', chunk => output.add(String(chunk)))
  let answered = false
  const answer = (result: { plan: Plan } | { error: SerializedError }) => {
    if (answered) return
    answered = true
    // Output that the worker wrote before its answer arrives in a later turn of the loop than the answer itself.
    setImmediate(() => writeAnswer({ ...result, output: output.text }))
  }
  const fail = (error: unknown) => answer({ error: serializeError(error) })
  worker.on('message', answer)
  worker.on('error', error => fail(workerError(error, options.heapMb)))
  worker.on('exit', () => fail(new FlinkError('INVALID_PROGRAM', 'the program ended the process (process.exit) while building its graph')))
  let line = ''
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (chunk: string) => {
    if (line.endsWith('\n')) return
    line += chunk
    if (!line.endsWith('\n')) return
    // Our own client wrote it: see planner-client.ts.
    const request = JSON.parse(line) as PlanRequest
    worker.postMessage(request)
    options.clock.schedule(request.timeoutMs, () => fail(tooSlow(request)), { ref: true })
  })
  process.stdin.on('end', () => process.exit(1))
}

/** The worker's side. */
export function planInWorker(apiUrl: string, optionTables: readonly OptionTable[]): void {
  assert(workerData?.role === 'plan' && parentPort !== null, 'the planner worker is started by servePlanner')
  const port = parentPort
  const warm = import(apiUrl)
  warm.catch(() => {})
  port.once('message', (request: PlanRequest) => {
    plan(request, apiUrl, optionTables).then(
      result => port.postMessage({ plan: result }),
      error => port.postMessage({ error: serializeError(error) }),
    )
  })
}

export async function plan(request: PlanRequest, apiUrl: string, optionTables: readonly OptionTable[]): Promise<Plan> {
  const artifact = openArtifact(await readFile(request.artifactPath), request.digest)
  const { streamGraph, cachedFiles } = await buildProgram(artifact, {
    apiUrl,
    folder: request.workFolder,
    entry: request.entry,
    args: request.args,
    settings: {
      configuration: request.clusterConfiguration,
      client: request.clientConfiguration,
      ...(request.defaultJobName === undefined ? {} : { defaultJobName: request.defaultJobName }),
    },
  })
  const { problems } = Configuration.parseLayers([{ origin: 'environment', name: 'env.configure', entries: streamGraph.configuration }], optionTables)
  requireNoProblems(problems)
  const built = buildJobGraph(streamGraph, {
    configuration: request.clusterConfiguration,
    client: request.clientConfiguration,
    ...(request.defaultParallelism === undefined ? {} : { defaultParallelism: request.defaultParallelism }),
  })
  const jobGraph = await projected(built, streamGraph)
  return { jobGraph, planText: planText(jobGraph, streamGraph), cachedFiles }
}

async function projected(jobGraph: JobGraph, streamGraph: StreamGraph): Promise<JobGraph> {
  if (!mayProject(jobGraph, streamGraph)) return jobGraph
  // It brings a parser of JavaScript, which most jobs can start without.
  const { fieldsRead } = await import('./fields-read.ts')
  return withProjections(jobGraph, streamGraph, fieldsRead)
}

function writeAnswer(answer: PlanAnswer): void {
  let text = JSON.stringify(answer)
  if (text.length > ANSWER_BYTES_MAX) {
    const error = new FlinkError(
      'INVALID_PROGRAM',
      `the job's graph is larger than ${ANSWER_BYTES_MAX} bytes; read large data with a source instead of fromCollection`,
      { bytes: text.length },
    )
    text = JSON.stringify({ error: serializeError(error), output: answer.output })
  }
  createWriteStream('', { fd: ANSWER_FD }).end(text, () => process.exit(0))
}

function workerError(error: Error, heapMb: number): unknown {
  if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') return outOfMemory(heapMb)
  return new FlinkError('INVALID_PROGRAM', `the program failed while building its graph, outside of its own call: ${error.message}`, {}, error)
}

class BoundedText {
  text = ''
  private readonly charsMax: number

  constructor(charsMax: number) {
    this.charsMax = charsMax
  }

  add(text: string): void {
    if (this.text.length >= this.charsMax) return
    this.text += text
    if (this.text.length >= this.charsMax) this.text = `${this.text.slice(0, this.charsMax)}\n… (more output is left out)\n`
  }
}
