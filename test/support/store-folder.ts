import type { ObjectStore } from '../../runtime/checkpoint/storage/object-store.ts'

/** The folder at a URI below that of a store. */
export function folderOf(store: ObjectStore, uri: string): ObjectStore {
  const at = (path: string) => `${uri.slice(store.uri.length + 1)}/${path}`
  return {
    uri,
    create: (path, bytes) => store.create(at(path), bytes),
    read: (path, range) => store.read(at(path), range),
    size: path => store.size(at(path)),
    list: async folder => (await store.list(at(folder))).map(path => path.slice(at('').length)),
    remove: path => store.remove(at(path)),
  }
}
