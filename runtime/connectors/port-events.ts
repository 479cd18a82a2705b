import { type ErrorCode, errorCodes, FlinkError } from '../common/errors.ts'
import type { JsonObject } from '../common/json.ts'
import type { FetcherSink } from '../stream/spi/io-host.ts'

/** Errors cross between a connector's halves as an `error` event: code and message, and the split they belong to. */
export function errorEvent(error: unknown, tag = -1): JsonObject {
  const message = error instanceof Error ? error.message : String(error)
  return { tag, code: error instanceof FlinkError ? error.code : 'EXTERNAL_SYSTEM', message }
}

export async function reportError(sink: FetcherSink, tag: number, error: unknown): Promise<void> {
  // The port may have been closed meanwhile; then nobody is left to tell.
  await sink.event('error', errorEvent(error, tag)).catch(() => {})
}

export function errorOfEvent(data: string): FlinkError {
  const { code, message } = JSON.parse(data) as { code?: string; message?: string }
  return new FlinkError(code !== undefined && code in errorCodes ? (code as ErrorCode) : 'EXTERNAL_SYSTEM', message ?? 'a connector failed')
}
