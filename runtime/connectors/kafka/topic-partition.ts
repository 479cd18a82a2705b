/** Part of the public types: this file imports nothing that users' projects would have to know. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}
