import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { assert } from '../common/assert.ts'
import type { Clock } from '../common/clock.ts'
import { deserializeError, FlinkError } from '../common/errors.ts'
import { ANSWER_BYTES_MAX, ANSWER_FD, outOfMemory, type Plan, type PlanAnswer, type PlanRequest, tooSlow } from './planner-protocol.ts'

/**
 * Plans jobs in child processes, one each: a program cannot reach the memory, the handles or the time of whoever asks. With
 * `keepSpare`, one child waits, API loaded, for the next request. Every child dies with its request, with `close`, or when
 * this process ends in whatever way (the pipe on its stdin closes).
 */
export interface PlannerClientOptions {
  /** bin/planner.ts, or its build. */
  readonly entry: URL
  readonly clock: Clock
  /** Node's executable. */
  readonly execPath: string
  readonly timeoutMs: number
  readonly heapMb: number
  readonly keepSpare: boolean
}

/** The child keeps its own deadline; this long after it, it is beyond answering and is killed. */
const GRACE_MS = 3_000
const STDERR_CHARS_MAX = 8 * 1024

export type PlanResult = Plan & { readonly output: string }

export class PlannerClient implements AsyncDisposable {
  private readonly options: PlannerClientOptions
  private readonly children = new Set<ChildProcess>()
  /** The last that each said before it died: V8 reports there what it died of. */
  private readonly stderr = new WeakMap<ChildProcess, string>()
  private spare: ChildProcess | undefined
  private closed = false

  constructor(options: PlannerClientOptions) {
    this.options = options
    if (options.keepSpare) this.spare = this.start()
  }

  /** Rejects with the program's own error, TIMEOUT, or the signal's reason. What the program printed stands in `output`, or in the error's `detail.output`. */
  async plan(request: Omit<PlanRequest, 'timeoutMs'>, signal?: AbortSignal): Promise<PlanResult> {
    assert(!this.closed, 'a closed planner client plans nothing')
    signal?.throwIfAborted()
    const child = this.takeSpare() ?? this.start()
    const answer = await this.ask(child, { ...request, timeoutMs: this.options.timeoutMs }, signal)
    if ('plan' in answer) return { ...answer.plan, output: answer.output }
    const error = deserializeError(answer.error)
    throw answer.output === '' ? error : Object.assign(error, { detail: { ...error.detail, output: answer.output } })
  }

  async close(): Promise<void> {
    this.closed = true
    this.spare = undefined
    await Promise.all([...this.children].map(child => stop(child)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private takeSpare(): ChildProcess | undefined {
    const { spare } = this
    this.spare = undefined
    if (this.options.keepSpare) setImmediate(() => !this.closed && (this.spare ??= this.start()))
    if (spare === undefined || !hasStarted(spare) || spare.exitCode !== null || spare.signalCode !== null) return undefined
    setReferenced(spare, true)
    return spare
  }

  private start(): ChildProcess {
    const child = spawn(
      this.options.execPath,
      ['--disable-warning=ExperimentalWarning', fileURLToPath(this.options.entry), '--heap-mb', String(this.options.heapMb)],
      {
        stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      },
    )
    child.on('error', () => this.children.delete(child))
    if (!hasStarted(child)) return child
    this.children.add(child)
    child.once('close', () => this.children.delete(child))
    this.stderr.set(child, '')
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.stderr.set(child, ((this.stderr.get(child) ?? '') + text).slice(-STDERR_CHARS_MAX)))
    // A child that died has closed the pipe; what matters of that is seen when it is asked.
    stdinOf(child).on('error', () => {})
    // An idle spare must not keep this process alive.
    setReferenced(child, false)
    return child
  }

  private ask(child: ChildProcess, request: PlanRequest, signal: AbortSignal | undefined): Promise<PlanAnswer> {
    const cannotStart = (cause: Error) =>
      new FlinkError('INTERNAL', 'the planner process cannot be started', { execPath: this.options.execPath }, cause)
    if (!hasStarted(child)) return new Promise((_, reject) => child.once('error', cause => reject(cannotStart(cause))))
    setReferenced(child, true)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let byteCount = 0
      const settle = (act: () => void) => {
        deadline.cancel()
        signal?.removeEventListener('abort', onAbort)
        child.kill('SIGKILL')
        act()
      }
      const deadline = this.options.clock.schedule(request.timeoutMs + GRACE_MS, () => settle(() => reject(tooSlow(request))), {
        ref: true,
      })
      const onAbort = () => settle(() => reject(signal?.reason))
      signal?.addEventListener('abort', onAbort, { once: true })
      child.once('error', cause => settle(() => reject(cannotStart(cause))))
      const answers = answersOf(child)
      answers.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        byteCount += chunk.length
        // Four bytes a character at most, and some for the rest of the answer.
        if (byteCount > 5 * ANSWER_BYTES_MAX)
          settle(() => reject(new FlinkError('INVALID_PROGRAM', 'the planner answered more than an answer may hold')))
      })
      answers.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        if (text !== '') return settle(() => resolve(JSON.parse(text) as PlanAnswer))
        // 'close' comes when stderr has been read to its end as well.
        child.once('close', () => settle(() => reject(this.died(child))))
      })
      stdinOf(child).write(`${JSON.stringify(request)}\n`)
    })
  }

  /** A thread that runs out of memory mostly ends alone, but V8 may take the whole process with it. */
  private died(child: ChildProcess): FlinkError {
    const stderr = this.stderr.get(child) ?? ''
    if (/heap out of memory|heap limit/i.test(stderr)) return outOfMemory(this.options.heapMb)
    return new FlinkError('INTERNAL', 'the planner process ended without an answer', { exitCode: child.exitCode, signal: child.signalCode, stderr })
  }
}

/** Else its error comes in the next tick. It may have no pipes: where there are no file descriptors left, none are made. */
function hasStarted(child: ChildProcess): boolean {
  return child.pid !== undefined
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  setReferenced(child, true)
  return new Promise(resolve => {
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

function stdinOf(child: ChildProcess): Writable {
  assert(child.stdin !== null, 'stdin of the planner is a pipe')
  return child.stdin
}

function answersOf(child: ChildProcess): Readable {
  const pipe = child.stdio[ANSWER_FD]
  assert(pipe !== null && pipe !== undefined, 'the answer descriptor of the planner is a pipe')
  return pipe as Readable // the parent's end of a pipe reads
}

function setReferenced(child: ChildProcess, referenced: boolean): void {
  const method = referenced ? 'ref' : 'unref'
  child[method]()
  // Pipes are sockets, which the types of `stdio` do not say.
  for (const pipe of [child.stdin, child.stderr, child.stdio[ANSWER_FD]]) (pipe as unknown as { ref(): void; unref(): void } | null)?.[method]()
}
