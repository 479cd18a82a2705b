import { expect, test } from 'vitest'
import { s3FailureOf } from './s3-failure.ts'

/** As the SDK makes them: a name, the status in its metadata; of the network: a code and the call that failed. */
function answered(httpStatusCode: number, name: string, message = name): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode, requestId: 'R1' } })
}
function network(code: string, syscall?: string): Error {
  return Object.assign(new Error(`${syscall ?? 'read'} ${code}`), { code, ...(syscall === undefined ? {} : { syscall }) })
}
const failureOf = (error: unknown) => s3FailureOf(error, 'bkt', ['AKIA1', 'hidden'])

/** Which statuses and codes S3 answers with, and what they mean: "Error responses" and "Conditional writes" of the Amazon S3 guides. */
test.each([
  [412, 'PreconditionFailed', 'exists'],
  [404, 'NoSuchKey', 'missing'],
  [416, 'InvalidRange', 'beyondEnd'],
  [404, 'NotFound', 'notFound'],
  [404, 'SyntaxError', 'notFound'],
  [404, 'NoSuchBucket', 'refused'],
  [301, 'PermanentRedirect', 'refused'],
  [307, 'TemporaryRedirect', 'refused'],
  [400, 'AuthorizationHeaderMalformed', 'refused'],
  [400, 'EntityTooLarge', 'refused'],
  [400, 'BadDigest', 'refused'],
  [401, 'Unauthorized', 'refused'],
  [403, 'AccessDenied', 'refused'],
  [405, 'MethodNotAllowed', 'refused'],
  [501, 'NotImplemented', 'refused'],
  [400, 'RequestTimeout', 'busy'],
  [409, 'ConditionalRequestConflict', 'busy'],
  [409, 'OperationAborted', 'busy'],
  [429, 'TooManyRequests', 'busy'],
  [408, 'RequestTimeout', 'lost'],
  [500, 'InternalError', 'lost'],
  [502, 'BadGateway', 'lost'],
  [503, 'SlowDown', 'lost'],
  [504, 'GatewayTimeout', 'lost'],
  // Success that cannot be read is no success, and no failure.
  [200, 'SyntaxError', 'lost'],
])('%i %s: %s', (status, name, kind) => {
  expect(failureOf(answered(status, name)).kind).toBe(kind)
})

test.each([
  ['nobody listens', network('ECONNREFUSED', 'connect'), 'busy'],
  ['no such host', network('ENOTFOUND', 'getaddrinfo'), 'busy'],
  ['the host does not answer', network('ETIMEDOUT', 'connect'), 'busy'],
  ['none of its addresses answers', new AggregateError([network('ECONNREFUSED', 'connect'), network('ENETUNREACH', 'connect')]), 'busy'],
  ['the SDK gave up connecting', Object.assign(new Error('the request socket did not establish a connection'), { name: 'TimeoutError' }), 'busy'],
  ['the connection was reset', network('ECONNRESET', 'read'), 'lost'],
  ['the connection was closed while writing', network('EPIPE', 'write'), 'lost'],
  ['the connection fell silent', network('ETIMEDOUT', 'read'), 'lost'],
  ['the other side hung up', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }), 'lost'],
  ['one address was reset', new AggregateError([network('ECONNREFUSED', 'connect'), network('ECONNRESET', 'read')]), 'lost'],
  ['it is no error at all', 'what?', 'lost'],
  ['there are no credentials', Object.assign(new Error('Could not load credentials'), { name: 'CredentialsProviderError' }), 'refused'],
  ['a refusal broke off', Object.assign(answered(404, 'Error', 'aborted'), { code: 'ECONNRESET' }), 'lost'],
  ['a refusal broke off whose status says all', Object.assign(answered(412, 'Error', 'aborted'), { code: 'ECONNRESET' }), 'exists'],
])('%s: %o is %s', (_, error, kind) => {
  expect(failureOf(error).kind).toBe(kind)
})

test.each([
  [answered(404, 'NoSuchBucket'), 'there is no bucket "bkt": create it, or correct its name (404 NoSuchBucket request R1)'],
  [answered(404, 'SyntaxError', 'no XML'), 'is this the address of an S3 store? (404 SyntaxError no XML request R1)'],
  [answered(301, 'PermanentRedirect'), 'bucket "bkt" is in another region: set s3.region (301 PermanentRedirect request R1)'],
  [answered(403, 'InvalidAccessKeyId'), 'access to bucket "bkt" is denied: look at s3.access-key ('],
  [answered(403, 'SignatureDoesNotMatch'), 'access to bucket "bkt" is denied: look at s3.secret-key ('],
  [answered(403, 'RequestTimeTooSkewed'), 'access to bucket "bkt" is denied: look at the clock of this machine ('],
  [answered(403, 'ExpiredToken'), 'access to bucket "bkt" is denied: look at the credentials, which have expired ('],
  [answered(403, 'AccessDenied'), 'access to bucket "bkt" is denied: look at the credentials, and that they may put, get, delete and list ('],
  [answered(501, 'NotImplemented'), 'the store does not offer what checkpoints need, PUT with If-None-Match among it ('],
  [
    Object.assign(new Error('none'), { name: 'CredentialsProviderError' }),
    'no credentials: set s3.access-key and s3.secret-key, or give the process a role (',
  ],
])('%o says what to do', (error, text) => {
  expect(failureOf(error)).toMatchObject({ text: expect.stringContaining(text) })
})

test('a text names no secret, wherever it stands, and is one short line', () => {
  const { text } = failureOf(answered(500, 'Error', `key AKIA1, ${'x'.repeat(280)} hidden\nsecond line`)) as { text: string }
  expect(text).toMatch(/^500 Error key \*{6}, x+/)
  expect(text).not.toMatch(/hid|second/)
  expect(text.length).toBeLessThanOrEqual(300)
})
