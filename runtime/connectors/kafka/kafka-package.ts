import { FlinkError } from '../../common/errors.ts'

/** @platformatic/kafka is optional and costs half a second and 56 MB a thread: loaded by the first use, never before. */
export async function loadKafkaPackage(): Promise<typeof import('@platformatic/kafka')> {
  try {
    return await import('@platformatic/kafka')
  } catch (error) {
    throw missingPackage(error)
  }
}

export function missingPackage(error: unknown): FlinkError {
  const code = (error as { code?: string }).code
  const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
  return new FlinkError(
    'UNSUPPORTED',
    missing
      ? "the package @platformatic/kafka is not installed: Kafka sources need it (npm install '@platformatic/kafka')"
      : `the package @platformatic/kafka cannot be loaded: ${rootMessage(error)}`,
    {},
    error,
  )
}

/** Network errors come wrapped in general ones; the innermost says what happened. */
export function rootMessage(error: unknown): string {
  let at = error
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    const inner: unknown = at.cause ?? (at as { errors?: unknown[] }).errors?.[0]
    if (inner === undefined) break
    at = inner
  }
  return at instanceof Error ? at.message || at.name : String(at)
}
