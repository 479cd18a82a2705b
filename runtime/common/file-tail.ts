import { open } from 'node:fs/promises'

/** The last part of a text file, at most `maxBytes`; undefined when there is no such file. A character that is cut at the front is left out. */
export async function readFileTail(path: string, maxBytes: number): Promise<string | undefined> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.min(size, maxBytes))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, size - buffer.length)
    let start = 0
    // Bytes 10xxxxxx go on a character whose beginning is not here.
    if (size > maxBytes) while (start < 3 && start < bytesRead && (buffer.readUInt8(start) & 0xc0) === 0x80) start++
    return buffer.toString('utf8', start, bytesRead)
  } finally {
    await file.close()
  }
}
