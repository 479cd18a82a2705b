import { systemRandom } from '../common/random.ts'
import type { ConnectorRegistry } from '../stream/spi/io-host.ts'
import type { SplitEnumeratorFactory } from '../stream/spi/source.ts'
import { sequenceEnumerator, staticEnumerator, stridedEnumerator } from './enumerators.ts'
import { fileEnumerator } from './file-enumerator.ts'
import { fileFetcher } from './file-fetcher.ts'
import { fileTransport } from './file-transport.ts'
import { fileSinkTransport } from './files/file-sink-transport.ts'
import { kafkaEnumerator } from './kafka/kafka-enumerator.ts'
import { kafkaFetcher } from './kafka/kafka-fetcher.ts'
import { kafkaTransport } from './kafka/kafka-sink.ts'
import { printTransport } from './print-transport.ts'
import { socketFetcher } from './socket-fetcher.ts'

/** Async halves by the names that sync halves open them with; the I/O worker hosts them. */
export const connectorRegistry: ConnectorRegistry = {
  fetchers: { file: fileFetcher, kafka: kafkaFetcher, socket: socketFetcher },
  sinks: { print: printTransport, file: fileTransport, 'file-sink': fileSinkTransport(systemRandom), kafka: kafkaTransport },
}

/** Split enumerators by the name in `SourceDescription.enumerator`; the JobManager runs them. */
export const enumeratorRegistry: Readonly<Record<string, SplitEnumeratorFactory>> = {
  file: fileEnumerator,
  kafka: kafkaEnumerator,
  sequence: sequenceEnumerator,
  static: staticEnumerator,
  strided: stridedEnumerator,
}
