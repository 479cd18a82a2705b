import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { AsnConvert, AsnSerializer, OctetString } from '@peculiar/asn1-schema'
import * as x509 from '@peculiar/asn1-x509'
import type { ClusterRole } from '../../runtime/common/cluster-sockets.ts'
import type { Random } from '../../runtime/common/random.ts'

/**
 * The certificates by which the processes of a cluster know each other (runtime/common/tls-sockets.ts): an authority of the cluster alone, and certificates by it that name a role. Keys are of the
 * curve P-256; everything is PEM.
 */
export interface KeyAndCertificate {
  readonly certificate: string
  readonly key: string
}

interface Issuing {
  readonly random: Random
  readonly nowMs: number
  readonly validMs: number
}

/** Clocks of nodes differ. */
const SKEW_MS = 5 * 60_000
const SERIAL_BYTES = 16
const ECDSA_WITH_SHA256 = new x509.AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' })
const CRITICAL: ReadonlySet<string> = new Set([x509.id_ce_basicConstraints, x509.id_ce_keyUsage])
const COMMON_NAME = '2.5.4.3'

export function createAuthority(name: string, issuing: Issuing): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const extensions = [
    extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({ cA: true, pathLenConstraint: 0 })),
    extension(x509.id_ce_keyUsage, new x509.KeyUsage(x509.KeyUsageFlags.keyCertSign)),
  ]
  const certificate = signed({ subject: name, issuer: name, publicKey, signingKey: privateKey, extensions }, issuing)
  return { certificate, key: pemOf(privateKey) }
}

export function issueCertificate(authority: KeyAndCertificate, roles: readonly ClusterRole[], issuing: Issuing): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const extensions = [
    extension(x509.id_ce_keyUsage, new x509.KeyUsage(x509.KeyUsageFlags.digitalSignature)),
    // Each process is a server and a client.
    extension(x509.id_ce_extKeyUsage, new x509.ExtendedKeyUsage([x509.id_kp_serverAuth, x509.id_kp_clientAuth])),
    extension(x509.id_ce_subjectAltName, new x509.SubjectAlternativeName(roles.map(role => new x509.GeneralName({ dNSName: role })))),
  ]
  const issuer = commonName(new X509Certificate(authority.certificate))
  const certificate = signed({ subject: roles.join(' and '), issuer, publicKey, signingKey: createPrivateKey(authority.key), extensions }, issuing)
  return { certificate, key: pemOf(privateKey) }
}

/** Of the first certificate in the text. */
export function expiryMs(certificate: string): number {
  return Date.parse(new X509Certificate(certificate).validTo)
}

export function isIssuedBy(certificate: string | undefined, authority: string): boolean {
  if (certificate === undefined) return false
  const issuer = new X509Certificate(authority)
  const issued = new X509Certificate(certificate)
  return issued.checkIssued(issuer) && issued.verify(issuer.publicKey)
}

interface Subject {
  readonly subject: string
  readonly issuer: string
  readonly publicKey: KeyObject
  readonly signingKey: KeyObject
  readonly extensions: readonly x509.Extension[]
}

function signed({ subject, issuer, publicKey, signingKey, extensions }: Subject, { random, nowMs, validMs }: Issuing): string {
  const serial = random.bytes(SERIAL_BYTES)
  // Positive, and as long as it says.
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const body = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: bufferOf(serial),
    signature: ECDSA_WITH_SHA256,
    issuer: nameOf(issuer),
    validity: new x509.Validity({ notBefore: new Date(nowMs - SKEW_MS), notAfter: new Date(nowMs + validMs) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), x509.SubjectPublicKeyInfo),
    extensions: new x509.Extensions([
      ...extensions,
      extension(x509.id_ce_subjectKeyIdentifier, new x509.SubjectKeyIdentifier(keyIdentifier(publicKey))),
      // Authorities have the same name when one takes over from another.
      extension(
        x509.id_ce_authorityKeyIdentifier,
        new x509.AuthorityKeyIdentifier({ keyIdentifier: new x509.KeyIdentifier(keyIdentifier(createPublicKey(signingKey))) }),
      ),
    ]),
  })
  const signature = sign('sha256', new Uint8Array(AsnSerializer.serialize(body)), signingKey)
  const certificate = new x509.Certificate({ tbsCertificate: body, signatureAlgorithm: ECDSA_WITH_SHA256, signatureValue: bufferOf(signature) })
  return new X509Certificate(new Uint8Array(AsnSerializer.serialize(certificate))).toString()
}

function nameOf(text: string): x509.Name {
  const value = new x509.AttributeValue({ utf8String: text })
  return new x509.Name([new x509.RelativeDistinguishedName([new x509.AttributeTypeAndValue({ type: COMMON_NAME, value })])])
}

function commonName({ subject }: X509Certificate): string {
  return subject.replace(/^CN=/, '')
}

function extension(id: string, value: object): x509.Extension {
  return new x509.Extension({ extnID: id, critical: CRITICAL.has(id), extnValue: new OctetString(AsnSerializer.serialize(value)) })
}

function keyIdentifier(key: KeyObject): ArrayBuffer {
  return bufferOf(
    createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest()
      .subarray(0, 20),
  )
}

/** Exactly these bytes. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}
