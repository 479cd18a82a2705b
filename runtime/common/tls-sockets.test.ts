import dns from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { CertificateFolders, testAuthority } from '../../test/support/certificates.ts'
import { type ClusterRole, type ClusterSockets, plainSockets } from './cluster-sockets.ts'
import { createLogger, noLog } from './log.ts'
import { createTlsSockets } from './tls-sockets.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close()
})

function folders(): CertificateFolders {
  const made = new CertificateFolders()
  closers.push(() => made[Symbol.dispose]())
  return made
}

/** Answers what it is told in capitals. */
async function serve(sockets: ClusterSockets, peers: readonly ClusterRole[], host = '127.0.0.1'): Promise<number> {
  const server: Server = sockets.createServer(peers, socket => {
    closers.push(() => socket.destroy())
    socket.on('error', () => {})
    socket.on('data', (bytes: Uint8Array) => socket.write(new TextDecoder().decode(bytes).toUpperCase()))
  })
  await once(server.listen(0, host), 'listening')
  closers.push(() => server.close())
  return (server.address() as AddressInfo).port
}

interface Talk {
  readonly socket: Socket
  readonly answer: string
}

/** What the server answers to `hello`; rejects when the connection ends without. */
function talk(sockets: ClusterSockets, port: number, peer: ClusterRole, host = '127.0.0.1'): Promise<Talk> {
  return new Promise((resolve, reject) => {
    const socket = sockets.connect({ host, port, peer }, () => socket.write('hello'))
    closers.push(() => socket.destroy())
    socket.once('data', (bytes: Uint8Array) => resolve({ socket, answer: new TextDecoder().decode(bytes) }))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed without an answer')))
  })
}

test('processes of a cluster talk; those of another cluster, without a certificate, or in another role do not', async () => {
  const made = folders()
  const [own, other] = [testAuthority(), testAuthority()]
  const log: string[] = []
  const jobManager = createTlsSockets(
    made.create(own, ['jobmanager']),
    createLogger(({ message }) => void log.push(message)),
  )
  const taskManager = createTlsSockets(made.create(own, ['taskmanager']), noLog)
  const port = await serve(jobManager, ['taskmanager'])
  expect((await talk(taskManager, port, 'jobmanager')).answer).toBe('HELLO')
  expect(log).toEqual([])

  // The same names by another authority: neither side takes the other.
  const stranger = createTlsSockets(made.create(other, ['taskmanager']), noLog)
  await expect(talk(stranger, port, 'jobmanager')).rejects.toMatchObject({
    code: expect.stringMatching(/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_SIGNATURE/),
  })
  const trusting = createTlsSockets(made.create(other, ['taskmanager'], { trusted: [own, other] }), noLog)
  await expect(talk(trusting, port, 'jobmanager')).rejects.toThrow()
  await expect.poll(() => log).toEqual(['a connection without a certificate of this cluster is refused'])
  await expect(talk(plainSockets, port, 'jobmanager')).rejects.toThrow()
  expect(log.length).toBe(2)

  // A TaskManager that plays the JobManager, and a JobManager where only TaskManagers are taken.
  const posing = await serve(taskManager, ['taskmanager'])
  await expect(talk(taskManager, posing, 'jobmanager')).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  await expect(talk(jobManager, posing, 'taskmanager')).rejects.toThrow('closed without an answer')
})

test('who only looks whether the port is open is not told of', async () => {
  const log: string[] = []
  const own = folders().create(testAuthority(), ['taskmanager'])
  const port = await serve(
    createTlsSockets(
      own,
      createLogger(({ message }) => void log.push(message)),
    ),
    ['taskmanager'],
  )
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
  await talk(createTlsSockets(own, noLog), port, 'taskmanager')
  await expect(talk(plainSockets, port, 'taskmanager')).rejects.toThrow()
  expect(log).toEqual(['a connection without a certificate of this cluster is refused'])
})

test('an expired certificate is refused by its name', async () => {
  const made = folders()
  const own = testAuthority()
  const port = await serve(createTlsSockets(made.create(own, ['jobmanager'], { ageMs: 2 * 3_600_000 }), noLog), ['taskmanager'])
  await expect(talk(createTlsSockets(made.create(own, ['taskmanager']), noLog), port, 'jobmanager')).rejects.toMatchObject({
    code: 'CERT_HAS_EXPIRED',
  })
})

test('certificates are rotated, and their authority with them, under processes that go on; what is connected stays so', async () => {
  const made = folders()
  const [before, after] = [testAuthority(), testAuthority()]
  const [serverFolder, clientFolder] = [made.create(before, ['jobmanager']), made.create(before, ['taskmanager'])]
  const client = createTlsSockets(clientFolder, noLog)
  const port = await serve(createTlsSockets(serverFolder, noLog), ['taskmanager'])
  const first = await talk(client, port, 'jobmanager')

  // Both are trusted before anything is issued by the new one; the old one goes last.
  const both = { trusted: [before, after] }
  made.replace(serverFolder, before, ['jobmanager'], both)
  made.replace(clientFolder, before, ['taskmanager'], both)
  made.replace(clientFolder, after, ['taskmanager'], both)
  expect((await talk(client, port, 'jobmanager')).answer).toBe('HELLO')
  made.replace(serverFolder, after, ['jobmanager'])
  made.replace(clientFolder, after, ['taskmanager'])
  expect((await talk(client, port, 'jobmanager')).answer).toBe('HELLO')
  await expect(talk(createTlsSockets(made.create(before, ['taskmanager'], both), noLog), port, 'jobmanager')).rejects.toThrow()

  first.socket.write('still here')
  const [bytes] = (await once(first.socket, 'data')) as [Uint8Array]
  expect(new TextDecoder().decode(bytes)).toBe('STILL HERE')
})

test('a folder without certificates is an error at the start that names it', () => {
  expect(() => createTlsSockets('/nowhere', noLog)).toThrow('/nowhere has no certificate that can be used: ENOENT')
})

test.each(['plain', 'TLS'])('of a name with several addresses the one that listens is found, however many refuse: %s', async kind => {
  // As of a headless Service over JobManagers of which one leads.
  const addresses = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'].map(address => ({ address, family: 4 }))
  const answer = (_name: string, _options: unknown, done: (error: null, found: typeof addresses) => void) => done(null, addresses)
  const made = folders()
  const own = testAuthority()
  const socketsOf = (role: ClusterRole) => (kind === 'plain' ? plainSockets : createTlsSockets(made.create(own, [role]), noLog))
  const port = await serve(socketsOf('jobmanager'), ['taskmanager'], '127.0.0.5')
  const resolving = vi.spyOn(dns, 'lookup').mockImplementation(answer as unknown as typeof dns.lookup)
  closers.push(() => resolving.mockRestore())
  const { socket, answer: said } = await talk(socketsOf('taskmanager'), port, 'jobmanager', 'words-jobmanager.jobs.svc')
  expect([said, socket.remoteAddress]).toEqual(['HELLO', '127.0.0.5'])
})
