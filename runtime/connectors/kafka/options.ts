import type { ConfigOption, Configuration } from '../../common/config.ts'

/**
 * What Kafka's sources and sinks do where the program says nothing: `spec.kafka` of a FlinkJob. A property that the program or the table sets itself wins. They are taken
 * over where the job is planned, and travel in its graph.
 */
const timeout = (key: string, doc: string): ConfigOption<number | undefined> => ({ key, type: 'duration', defaultValue: undefined, doc })

const partitionDiscoveryInterval = timeout(
  'kafka.partition-discovery-interval',
  'how often sources look for new partitions; `partition.discovery.interval.ms` of sources that set none',
)
const defaultApiTimeout = timeout(
  'kafka.default-api-timeout',
  'for a call over all brokers, all tries together; `default.api.timeout.ms` of sources that set none',
)
const requestTimeout = timeout('kafka.request-timeout', 'for one request to a broker; `request.timeout.ms` of sources and sinks that set none')
const maxBlock = timeout('kafka.max-block', 'how long a sink looks for its topic at the start; `max.block.ms` of sinks that set none')

export const kafkaOptions: readonly ConfigOption<unknown>[] = [partitionDiscoveryInterval, defaultApiTimeout, requestTimeout, maxBlock]

/** Properties of sources. */
export function sourceDefaults(configuration: Configuration): Readonly<Record<string, string>> {
  return propertiesOf(configuration, {
    'partition.discovery.interval.ms': partitionDiscoveryInterval,
    'default.api.timeout.ms': defaultApiTimeout,
    'request.timeout.ms': requestTimeout,
  })
}

/** Properties of sinks. */
export function sinkDefaults(configuration: Configuration): Readonly<Record<string, string>> {
  return propertiesOf(configuration, { 'request.timeout.ms': requestTimeout, 'max.block.ms': maxBlock })
}

function propertiesOf(
  configuration: Configuration,
  options: Readonly<Record<string, ConfigOption<number | undefined>>>,
): Readonly<Record<string, string>> {
  const given = Object.entries(options).map(([property, option]) => [property, configuration.get(option)] as const)
  return Object.fromEntries(given.flatMap(([property, value]) => (value === undefined ? [] : [[property, String(value)]])))
}
