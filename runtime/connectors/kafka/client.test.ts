import { describe } from 'vitest'
import { FakeKafka } from '../../../test/support/fake-kafka.ts'
import { kafkaClientContract } from '../../../test/support/kafka-client-contract.ts'

describe('the fake kafka keeps the contract of the client', () => {
  const kafka = new FakeKafka(2)
  kafkaClientContract(() => kafka)
})
