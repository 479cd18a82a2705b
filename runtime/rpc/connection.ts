import type { JsonObject, JsonValue } from '../common/json.ts'

/**
 * The control plane. One authenticated, ordered connection per TaskManager to its JobManager; both sides may call the other. TCP with
 * length-prefixed JSON in production (`tcp-transport.ts`), simulated network in `make sim`. Every payload carries `generation` and, where
 * a job is concerned, `jobId`; a receiver drops or refuses what is stale.
 *
 * The first frame of a connection is the hello: {protocolVersion, token, role, id}. Wrong token: UNAUTHENTICATED and closed.
 */
export interface RpcConnection {
  readonly peerId: string
  /** Resolves with the handler's answer, rejects with its error (as FlinkError), or with CONNECTION_LOST or TIMEOUT. */
  call(method: string, payload: JsonObject, timeoutMs?: number): Promise<JsonValue>
  /** Fire and forget; lost silently when the connection is. */
  notify(method: string, payload: JsonObject): void
  /** One handler for all methods; throwing answers the call with the error. */
  onRequest(handler: (method: string, payload: JsonObject) => Promise<JsonValue> | JsonValue): void
  /** Called exactly once. */
  onClose(callback: (reason: Error) => void): void
  close(reason?: string): void
}

export interface RpcServer {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

export interface RpcTransport {
  listen(options: { host: string; port: number; token: string; onConnection: (connection: RpcConnection) => void }): Promise<RpcServer>
  connect(options: { host: string; port: number; token: string; role: string; id: string; timeoutMs: number }): Promise<RpcConnection>
}

export const RPC_PROTOCOL_VERSION = 1
