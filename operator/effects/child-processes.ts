import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Clock, sleep } from '../../runtime/common/clock.ts'
import { startTimeOf } from '../../runtime/common/process-start.ts'

/**
 * Processes that end with us, however we end:
 *
 * - they hold a pipe as stdin and end when it does, so also after our SIGKILL;
 * - they are in a session of their own: a terminal's Ctrl-C reaches us only, and we end them in order;
 * - when this process exits early (a second Ctrl-C) they are killed on the way out;
 * - each is noted in a file with its start time, so that the next `up` finds those that are still ending, and never takes a process that
 *   got the same pid for one of ours.
 */
export interface ChildOptions {
  readonly command: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Appended to. */
  readonly stdoutPath: string
  readonly stderrPath: string
  readonly notePath: string
}

export interface Child {
  readonly pid: number
  /** undefined while it runs. */
  readonly exit: { readonly description: string } | undefined
  /** SIGTERM, SIGKILL after `timeoutMs`; answers when it is gone. */
  stop(clock: Clock, timeoutMs: number): Promise<void>
}

interface Note {
  readonly pid: number
  readonly startTime: string
}

const living = new Set<ChildProcess>()
let exitHandlerInstalled = false

export function startChild(options: ChildOptions): Child {
  installExitHandler()
  const [executable = process.execPath, ...args] = options.command
  for (const path of [options.stdoutPath, options.stderrPath, options.notePath]) mkdirSync(dirname(path), { recursive: true })
  const stdout = openSync(options.stdoutPath, 'a')
  const stderr = openSync(options.stderrPath, 'a')
  try {
    const process = spawn(executable, args, { detached: true, stdio: ['pipe', stdout, stderr], env: options.env })
    let exit: { readonly description: string } | undefined
    const ended = Promise.withResolvers<void>()
    const gone = (description: string) => {
      exit ??= { description }
      living.delete(process)
      rmSync(options.notePath, { force: true })
      ended.resolve()
    }
    living.add(process)
    process.on('error', error => gone(`could not be started: ${error.message}`))
    process.on('exit', (code, signal) => gone(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`))
    // It may end before it reads: a broken pipe is nothing to say.
    process.stdin?.on('error', () => {})
    const pid = process.pid ?? -1
    writeNote(options.notePath, pid)
    return {
      pid,
      get exit() {
        return exit
      },
      async stop(clock, timeoutMs) {
        if (exit !== undefined) return
        process.kill('SIGTERM')
        const timer = clock.schedule(timeoutMs, () => process.kill('SIGKILL'), { ref: true })
        await ended.promise
        timer.cancel()
      },
    }
  } finally {
    closeSync(stdout)
    closeSync(stderr)
  }
}

function installExitHandler(): void {
  if (exitHandlerInstalled) return
  exitHandlerInstalled = true
  process.on('exit', () => {
    for (const child of living) child.kill('SIGKILL')
  })
}

/** Notes this or another process, so that `isNoted` recognises it later. */
export function writeNote(path: string, pid: number): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, JSON.stringify({ pid, startTime: startTimeOf(pid) ?? '' } satisfies Note))
}

/** The pid of the noted process while it lives. */
export function notedProcess(path: string): number | undefined {
  try {
    // Written by `writeNote`; a file that was cut short is no note.
    const note = JSON.parse(readFileSync(path, 'utf8')) as Note
    const now = startTimeOf(note.pid)
    return now !== undefined && now === note.startTime ? note.pid : undefined
  } catch {
    return undefined
  }
}

/** Ends the noted processes of a folder that still live: SIGTERM, then SIGKILL. Answers how many there were. */
export async function endNotedProcesses(folder: string, clock: Clock, timeoutMs: number): Promise<number> {
  if (!existsSync(folder)) return 0
  const paths = readdirSync(folder)
    .filter(name => name.endsWith('.pid'))
    .map(name => join(folder, name))
  const found = paths.filter(path => notedProcess(path) !== undefined)
  for (const path of found) signalNoted(path, 'SIGTERM')
  const deadlineMs = clock.monotonicMs() + timeoutMs
  while (found.some(path => notedProcess(path) !== undefined)) {
    if (clock.monotonicMs() > deadlineMs) for (const path of found) signalNoted(path, 'SIGKILL')
    await sleep(clock, 50)
  }
  return found.length
}

function signalNoted(path: string, signal: 'SIGTERM' | 'SIGKILL'): void {
  const pid = notedProcess(path)
  try {
    if (pid !== undefined) process.kill(pid, signal)
  } catch {
    // It ended by itself in between.
  }
}
