import { afterAll, beforeAll, describe } from 'vitest'
import { createKafkaClient } from '../../../runtime/connectors/kafka/client.ts'
import { parseProperties } from '../../../runtime/connectors/kafka/settings.ts'
import { KafkaBroker } from '../../support/kafka-broker.ts'
import { type KafkaUnderTest, kafkaClientContract } from '../../support/kafka-client-contract.ts'

describe('the kafka client with a real broker', () => {
  let broker: KafkaBroker
  beforeAll(async () => {
    broker = await KafkaBroker.start()
  })
  afterAll(async () => {
    await broker?.close()
  })
  kafkaClientContract(
    (): KafkaUnderTest => ({
      client: () => createKafkaClient(parseProperties(new Map([['bootstrap.servers', broker.bootstrapServers]])).settings),
      createTopic: (topic, partitions) => broker.createTopic(topic, partitions),
      produce: (topic, partition, values) => broker.produce(topic, partition, values),
      committedOffsets: (groupId, topic) => broker.committedOffsets(groupId, topic),
      deleteRecords: (topic, partition, before) => broker.deleteRecords(topic, partition, before),
    }),
  )
})
