import { connect, createServer, type TLSSocket } from 'node:tls'
import type { ClusterRole, ClusterSockets } from './cluster-sockets.ts'
import type { Logger } from './log.ts'
import { readTlsFiles, tlsContext } from './tls-files.ts'

/**
 * Mutual TLS 1.3 between the processes of a cluster. A folder holds, as PEM, the files of a Secret of type kubernetes.io/tls: `ca.crt`, the authority of this cluster alone (or several, while
 * one takes over from another), `tls.crt` and `tls.key`, what this process is by it.
 *
 * 1. A certificate names a role, as a DNS name: `jobmanager` or `taskmanager`. Hosts and addresses say nothing about a peer, its certificate does.
 * 2. A client names the role that it wants, and talks to nobody else. A server takes the roles that it is told, and nobody without a certificate.
 * 3. Files that have changed are read before the next connection: certificates are rotated under a process that runs. What is connected stays so.
 */
const FILES = ['ca.crt', 'tls.crt', 'tls.key'] as const
const HANDSHAKE_MS = 10_000

export function createTlsSockets(folder: string, log: Logger): ClusterSockets {
  const context = tlsContext(folder, FILES, log)

  return {
    createServer(peers, onSocket) {
      const server = createServer(
        {
          ...readTlsFiles(folder, FILES),
          requestCert: true,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.3',
          handshakeTimeout: HANDSHAKE_MS,
          // Every client of ours says whom it wants, so this is asked for each connection.
          SNICallback: (_name, answer) => {
            try {
              answer(null, context())
            } catch (error) {
              answer(error as Error)
            }
          },
        },
        socket => {
          socket.setNoDelay(true)
          if (peers.some(role => isCertified(socket, role))) return onSocket(socket)
          log.warn('a connection is refused: its certificate is of another role', { from: peerOf(socket), wanted: peers.join(', ') })
          socket.destroy()
        },
      )
      server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
        // A certificate that is not taken counts as a reset as well, and so does who leaves before a word was said, as probes of a port do: that is no refusal.
        const refusal = refusalOf(socket)
        if (refusal === undefined && error.code === 'ECONNRESET') return
        log.warn('a connection without a certificate of this cluster is refused', { from: peerOf(socket), reason: refusal ?? error.message })
      })
      return server
    },
    connect({ host, port, peer }, onConnect) {
      const socket = connect({ host, port, servername: peer, secureContext: context(), minVersion: 'TLSv1.3' }, onConnect)
      socket.setNoDelay(true)
      return socket
    },
  }
}

/** Whether a socket failed for what the two sides think of each other's certificates. */
export function isCertificateError({ code = '' }: NodeJS.ErrnoException): boolean {
  return code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || CERTIFICATE_CODES.has(code)
}

/** Of OpenSSL's verification, as Node names them. */
const CERTIFICATE_CODES = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

function isCertified(socket: TLSSocket, role: ClusterRole): boolean {
  const { subjectaltname = '' } = socket.getPeerCertificate()
  return subjectaltname.split(', ').includes(`DNS:${role}`)
}

/** Why the peer's certificate was not taken; Node keeps the code there, and declares an Error. */
function refusalOf({ authorizationError }: TLSSocket): string | undefined {
  return (authorizationError as unknown as string | null | undefined) ?? undefined
}

function peerOf({ remoteAddress, remotePort }: Pick<TLSSocket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress ?? '?'}:${remotePort ?? 0}`
}
