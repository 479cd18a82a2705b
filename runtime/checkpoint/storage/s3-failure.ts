/**
 * What an answer of S3 that is no success, or the lack of an answer, says about the request. Pure; the table of s3-failure.test.ts has a row for each case.
 *
 * - `exists`: refused by `If-None-Match`; `missing`: no such object; `notFound`: a 404 that does not say of what; `beyondEnd`: a range behind the end;
 * - `refused`: it had no effect, and the same request will be refused again until a person has changed something;
 * - `busy`: it had no effect, and later it may;
 * - `lost`: it may have had its effect, now or later.
 */
export type S3Failure =
  | { readonly kind: 'exists' | 'missing' | 'beyondEnd' }
  | { readonly kind: 'notFound' | 'refused' | 'busy' | 'lost'; readonly text: string }

/** `bucket` and `secrets` are for the text: the one is named, the others never are. */
export function s3FailureOf(error: unknown, bucket: string, secrets: readonly string[]): S3Failure {
  const { name, status } = factsOf(error)
  const text = textOf(error, secrets)
  if (status === undefined || (status >= 200 && status < 300)) return unanswered(error, name, text)
  // The answer broke off: what it was about is not known.
  if (status !== 412 && codeOf(error) === 'ECONNRESET') return { kind: 'lost', text }
  switch (status) {
    case 412:
      return { kind: 'exists' }
    case 416:
      return { kind: 'beyondEnd' }
    case 404:
      if (name === 'NoSuchKey') return { kind: 'missing' }
      if (name === 'NoSuchBucket') return { kind: 'refused', text: `there is no bucket "${bucket}": create it, or correct its name (${text})` }
      // To HEAD the answer has no body; to others, whoever answers like this is no S3, and knows nothing of objects.
      return { kind: 'notFound', text: `is this the address of an S3 store? (${text})` }
    case 301:
    case 307:
      return { kind: 'refused', text: `bucket "${bucket}" is in another region: set s3.region (${text})` }
    case 401:
    case 403:
      return { kind: 'refused', text: `access to bucket "${bucket}" is denied: look at ${advice(name)} (${text})` }
    case 409:
    case 429:
      return { kind: 'busy', text }
    case 408:
      return { kind: 'lost', text }
    case 501:
      return { kind: 'refused', text: `the store does not offer what checkpoints need, PUT with If-None-Match among it (${text})` }
  }
  if (status >= 500) return { kind: 'lost', text }
  if (name === 'RequestTimeout') return { kind: 'busy', text }
  if (name === 'AuthorizationHeaderMalformed' || name === 'IllegalLocationConstraintException')
    return { kind: 'refused', text: `bucket "${bucket}" is in another region: set s3.region (${text})` }
  return { kind: 'refused', text }
}

function unanswered(error: unknown, name: string, text: string): S3Failure {
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError')
    return { kind: 'refused', text: `no credentials: set s3.access-key and s3.secret-key, or give the process a role (${text})` }
  return { kind: neverConnected(error) ? 'busy' : 'lost', text }
}

/** Only what fails before there is a connection can be sure that nothing was sent. */
function neverConnected(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  // Several addresses were tried, each with an error of its own.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(neverConnected)
  const { syscall } = error as NodeJS.ErrnoException
  if (syscall === 'connect' || syscall === 'getaddrinfo') return true
  return error.name === 'TimeoutError' && /did not establish a connection/.test(error.message)
}

function advice(name: string): string {
  switch (name) {
    case 'InvalidAccessKeyId':
      return 's3.access-key'
    case 'SignatureDoesNotMatch':
      return 's3.secret-key'
    case 'RequestTimeTooSkewed':
      return 'the clock of this machine'
    case 'ExpiredToken':
      return 'the credentials, which have expired'
  }
  return 'the credentials, and that they may put, get, delete and list'
}

interface SdkError {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
  readonly code?: string
}

function factsOf(error: unknown): { name: string; status: number | undefined; requestId: string | undefined } {
  if (!(error instanceof Error)) return { name: 'Error', status: undefined, requestId: undefined }
  // The SDK puts its metadata on errors of every class, those of its parser among them.
  const { $metadata } = error as SdkError
  return { name: error.name, status: $metadata?.httpStatusCode, requestId: $metadata?.requestId }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as SdkError).code : undefined
}

const TEXT_LENGTH_MAX = 300

function textOf(error: unknown, secrets: readonly string[]): string {
  const { name, status, requestId } = factsOf(error)
  const code = codeOf(error)
  const message = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
  const parts = [status, name, code, message === name ? undefined : message, requestId === undefined ? undefined : `request ${requestId}`]
  let text = parts.filter(part => part !== undefined && part !== '').join(' ')
  for (const secret of secrets) text = text.replaceAll(secret, '******')
  return text.slice(0, TEXT_LENGTH_MAX)
}
