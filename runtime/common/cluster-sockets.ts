import { connect, createServer, type Server, type Socket } from 'node:net'

/** What a process is to the others of its cluster. */
export type ClusterRole = 'jobmanager' | 'taskmanager'

/** Sockets between the processes of a cluster: plain, or with TLS (tls-sockets.ts). Both transports, of the control plane and of the data plane, are on top of it. */
export interface ClusterSockets {
  /** A server that does not listen yet. `onSocket`: one of these roles has connected. */
  createServer(peers: readonly ClusterRole[], onSocket: (socket: Socket) => void): Server
  /** `onConnect`: the peer is the role it is to be, and can be written to. Events `error` and `close` as of any socket. */
  connect(to: { readonly host: string; readonly port: number; readonly peer: ClusterRole }, onConnect: () => void): Socket
}

export const plainSockets: ClusterSockets = {
  createServer: (_peers, onSocket) => createServer({ noDelay: true }, onSocket),
  connect: ({ host, port }, onConnect) => connect({ host, port, noDelay: true }, onConnect),
}
