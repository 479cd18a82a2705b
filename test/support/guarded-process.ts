import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * A real part as a child of a shell that holds one end of a pipe: when this process ends, however it ends, the shell reads the end of the pipe and
 * kills the part. fd 3 is that pipe; the part must not inherit it.
 */
const GUARD = 'exec 3<&0; "$@" </dev/null 3<&- & part=$!; (read -r _ <&3; kill -9 $part 2>/dev/null) & wait $part'

export interface GuardedProcess {
  /** Kills it. */
  stop(): Promise<void>
}

/** Resolves when it has written `ready`. */
export async function startGuarded(
  command: readonly string[],
  options: { readonly name: string; readonly ready: string; readonly env?: Readonly<Record<string, string>> },
): Promise<GuardedProcess> {
  const { name, ready, env } = options
  const child = spawn('sh', ['-c', GUARD, name, ...command], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const exited = once(child, 'close')
  let output = ''
  const started = new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000)
      if (output.includes(ready)) resolve()
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    void exited.then(() => reject(new Error(`${name} ended:\n${output}`)))
  })
  const stop = async () => {
    child.stdin.end()
    await exited
  }
  try {
    await started
  } catch (error) {
    await stop()
    throw error
  }
  return { stop }
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map(server => (server.address() as { port: number }).port)
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
  return ports
}
