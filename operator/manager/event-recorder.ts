import { createHash } from 'node:crypto'
import type { Clock } from '../../runtime/common/clock.ts'
import { FlinkError } from '../../runtime/common/errors.ts'
import type { Logger } from '../../runtime/common/log.ts'
import { isReason, type KubeObject, type ObjectApi } from '../kube/object-api.ts'
import { events } from '../kube/resources.ts'
import type { Happening } from './events-core.ts'

/**
 * Events as `kubectl describe` shows them. What happens again is counted in the event that is there: it has a name by what it says. They tell of what has been done
 * and are never in its way: one that cannot be written is logged, and not tried again.
 */
export interface EventRecorder {
  record(object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>, happenings: readonly Happening[]): Promise<void>
}

const CONTROLLER = 'millrace.dev/operator'
const FIELD_MANAGER = 'millrace-events'
const NOTE_MAX = 1_000

export function createEventRecorder(parts: {
  readonly api: ObjectApi
  readonly instance: string
  readonly clock: Pick<Clock, 'nowMs'>
  readonly log: Logger
}): EventRecorder {
  const { api, instance, clock, log } = parts

  const write = async (
    { apiVersion, kind, metadata }: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>,
    { type, reason, note }: Happening,
  ): Promise<void> => {
    const { namespace, name, uid = '' } = metadata
    const text = note.length > NOTE_MAX ? `${note.slice(0, NOTE_MAX)}...` : note
    const hash = createHash('sha256')
      .update(JSON.stringify([uid, reason, text]))
      .digest('hex')
      .slice(0, 16)
    const now = new Date(clock.nowMs()).toISOString().replace('Z', '000Z')
    const event: KubeObject = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name}.${hash}`, namespace },
      eventTime: now,
      type,
      reason,
      note: text,
      action: 'Reconcile',
      reportingController: CONTROLLER,
      reportingInstance: instance,
      regarding: { apiVersion, kind, name, namespace, uid },
    }
    try {
      await api.create(event)
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error
      const before = await api.get(events, namespace, event.metadata.name)
      const { count = 1 } = (before['series'] ?? {}) as { readonly count?: number }
      // Only the series of an event may change.
      await api.apply(
        { apiVersion: event.apiVersion, kind: event.kind, metadata: event.metadata, series: { count: count + 1, lastObservedTime: now } },
        FIELD_MANAGER,
      )
    }
  }

  return {
    async record(object, happenings) {
      for (const happening of happenings) {
        try {
          await write(object, happening)
        } catch (error) {
          if (!(error instanceof FlinkError)) throw error
          // A namespace that is going away takes no events any more.
          log.info('an event could not be written', { reason: happening.reason, name: object.metadata.name, error: error.message })
        }
      }
    },
  }
}
