import { canonicalJson } from '../../common/json.ts'
import { createKafkaClient, type KafkaClient } from './client.ts'
import type { KafkaSettings } from './settings.ts'

/** One client for all sources and sinks of a thread that have the same settings; connections for data are each one's own, by lane. */
const shared = new Map<string, { readonly client: KafkaClient; users: number }>()

export function acquireClient(settings: KafkaSettings): { readonly client: KafkaClient; release(): void } {
  const key = canonicalJson({ ...settings, groupId: settings.groupId ?? null, offsetReset: settings.offsetReset ?? null })
  let entry = shared.get(key)
  if (entry === undefined) {
    entry = { client: createKafkaClient(settings), users: 0 }
    shared.set(key, entry)
  }
  const used = entry
  used.users++
  return {
    client: used.client,
    release() {
      used.users--
      if (used.users > 0) return
      shared.delete(key)
      used.client.close()
    },
  }
}

/** 0 is the client's own. */
let nextLane = 1

export function newLane(): number {
  return nextLane++
}
