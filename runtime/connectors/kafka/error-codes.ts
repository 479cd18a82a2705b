/** Kafka's error codes that source and sink can meet. `retry`: another attempt, after new metadata, can help. */
const codes: Readonly<Record<number, { readonly name: string; readonly retry: boolean }>> = {
  [-1]: { name: 'UNKNOWN_SERVER_ERROR', retry: true },
  1: { name: 'OFFSET_OUT_OF_RANGE', retry: false },
  2: { name: 'CORRUPT_MESSAGE', retry: true },
  3: { name: 'UNKNOWN_TOPIC_OR_PARTITION', retry: true },
  5: { name: 'LEADER_NOT_AVAILABLE', retry: true },
  6: { name: 'NOT_LEADER_OR_FOLLOWER', retry: true },
  7: { name: 'REQUEST_TIMED_OUT', retry: true },
  8: { name: 'BROKER_NOT_AVAILABLE', retry: true },
  9: { name: 'REPLICA_NOT_AVAILABLE', retry: true },
  10: { name: 'MESSAGE_TOO_LARGE', retry: false },
  12: { name: 'OFFSET_METADATA_TOO_LARGE', retry: false },
  13: { name: 'NETWORK_EXCEPTION', retry: true },
  14: { name: 'COORDINATOR_LOAD_IN_PROGRESS', retry: true },
  15: { name: 'COORDINATOR_NOT_AVAILABLE', retry: true },
  16: { name: 'NOT_COORDINATOR', retry: true },
  17: { name: 'INVALID_TOPIC_EXCEPTION', retry: false },
  18: { name: 'RECORD_LIST_TOO_LARGE', retry: false },
  19: { name: 'NOT_ENOUGH_REPLICAS', retry: true },
  20: { name: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', retry: true },
  22: { name: 'ILLEGAL_GENERATION', retry: false },
  24: { name: 'INVALID_GROUP_ID', retry: false },
  25: { name: 'UNKNOWN_MEMBER_ID', retry: false },
  27: { name: 'REBALANCE_IN_PROGRESS', retry: true },
  29: { name: 'TOPIC_AUTHORIZATION_FAILED', retry: false },
  30: { name: 'GROUP_AUTHORIZATION_FAILED', retry: false },
  31: { name: 'CLUSTER_AUTHORIZATION_FAILED', retry: false },
  32: { name: 'INVALID_TIMESTAMP', retry: false },
  35: { name: 'UNSUPPORTED_VERSION', retry: false },
  44: { name: 'POLICY_VIOLATION', retry: false },
  56: { name: 'KAFKA_STORAGE_ERROR', retry: true },
  72: { name: 'LISTENER_NOT_FOUND', retry: true },
  74: { name: 'FENCED_LEADER_EPOCH', retry: true },
  75: { name: 'UNKNOWN_LEADER_EPOCH', retry: true },
  76: { name: 'UNSUPPORTED_COMPRESSION_TYPE', retry: false },
  78: { name: 'OFFSET_NOT_AVAILABLE', retry: true },
  87: { name: 'INVALID_RECORD', retry: false },
  89: { name: 'THROTTLING_QUOTA_EXCEEDED', retry: true },
  103: { name: 'INCONSISTENT_TOPIC_ID', retry: true },
}

export const OFFSET_OUT_OF_RANGE = 1
export const MESSAGE_TOO_LARGE = 10
export const RECORD_LIST_TOO_LARGE = 18
export const UNKNOWN_TOPIC_OR_PARTITION = 3
export const TOPIC_AUTHORIZATION_FAILED = 29
export const INVALID_TOPIC = 17

export function kafkaErrorName(code: number): string {
  return codes[code]?.name ?? `error ${code}`
}

export function isRetriable(code: number): boolean {
  return codes[code]?.retry ?? false
}
