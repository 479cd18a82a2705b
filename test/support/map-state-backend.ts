import type { OwnStateBackend, StateStore } from '../../runtime/api/index.ts'

/** The plainest backend of one's own: rows in Maps, by the text of their keys. `change` lets a test break it. */
export function mapStateBackend(
  change: (store: StateStore) => Partial<StateStore> = () => ({}),
  can: Partial<OwnStateBackend['can']> = {},
): OwnStateBackend {
  return {
    name: 'maps',
    can: { snapshots: true, incremental: true, ...can },
    createStore: () => {
      const states = new Map<number, Map<string, Uint8Array>>()
      const nameOf = (key: Uint8Array) => Buffer.from(key).toString('latin1')
      const store: StateStore = {
        get: (state, key) => states.get(state)?.get(nameOf(key)),
        put: (state, key, row) => {
          const rows = states.get(state) ?? new Map<string, Uint8Array>()
          states.set(state, rows.set(nameOf(key), row))
        },
        remove: (state, key) => void states.get(state)?.delete(nameOf(key)),
        rows: state => states.get(state)?.values() ?? [],
        close: () => states.clear(),
      }
      return { ...store, ...change(store) }
    },
  }
}
