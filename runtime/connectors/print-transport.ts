import type { JsonObject } from '../common/json.ts'
import type { IoContext, SinkTransport } from '../stream/spi/io-host.ts'

/** Async half of print: whole lines to the TaskManager's stdout (or stderr) file. */
export function printTransport(options: JsonObject, { taskManager }: IoContext): SinkTransport {
  const write = options['toStderr'] === true ? taskManager.stderr : taskManager.stdout
  return {
    write: bytes => write(bytes),
    command(what, _data, reply) {
      if (what === 'end') reply('finished', {})
    },
    close: async () => {},
  }
}
