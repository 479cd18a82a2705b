import type { ByteWriter } from '../../common/bytes.ts'
import { FlinkError } from '../../common/errors.ts'
import { writeText } from '../text-lines.ts'

/** How a row becomes bytes of a part file. Synchronous; the stream is valid during the call. */
export interface Encoder<T> {
  encode(element: T, stream: EncoderStream): void
}

export interface EncoderStream {
  /** A text is written as UTF-8. */
  write(data: string | Uint8Array): void
}

/** Each row's text, as `print` shows it, and a line feed. */
export class SimpleStringEncoder<T> implements Encoder<T> {
  constructor(charsetName = 'UTF-8') {
    if (charsetName.toUpperCase() !== 'UTF-8')
      throw new FlinkError('UNSUPPORTED', `SimpleStringEncoder: charset ${charsetName} is not supported, UTF-8 is`)
  }

  encode(element: T, stream: EncoderStream): void {
    stream.write(`${String(element)}\n`)
  }
}

/** One serves all rows: only `writer` changes. */
export class ByteWriterStream implements EncoderStream {
  writer: ByteWriter | undefined

  write(data: string | Uint8Array): void {
    const { writer } = this
    if (writer === undefined) throw new FlinkError('USER_FUNCTION', 'the stream of an encoder is valid during its call only')
    if (typeof data === 'string') writeText(data, writer)
    else if (data instanceof Uint8Array) writer.raw(data)
    else throw new FlinkError('USER_FUNCTION', `the stream of an encoder takes a text or bytes, got ${typeof data}`)
  }
}
