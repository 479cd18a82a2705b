import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'

/** `/metrics`, `/healthz` (the process lives) and `/readyz` (it follows what it has to look after, or stands by), for Prometheus and the kubelet. */
export interface ProbeServer {
  readonly port: number
  close(): Promise<void>
}

export async function serveProbes(options: {
  readonly host: string
  readonly port: number
  readonly registry: Registry
  readonly isReady: () => boolean
}): Promise<ProbeServer> {
  const { host, port, registry, isReady } = options
  const server = createServer((request, response) => {
    const send = (code: number, text: string, type = 'text/plain; charset=utf-8') => response.writeHead(code, { 'content-type': type }).end(text)
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    if (request.method !== 'GET') return void send(405, 'only GET is served\n')
    if (path === '/healthz') return void send(200, 'ok\n')
    if (path === '/readyz') return void (isReady() ? send(200, 'ok\n') : send(503, 'not everything has been seen yet\n'))
    if (path !== '/metrics') return void send(404, `${path} is not served: /metrics, /healthz and /readyz are\n`)
    registry.metrics().then(
      text => send(200, text, registry.contentType),
      (error: unknown) => send(500, `${error}\n`),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
