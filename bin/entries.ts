/** Where the entry of another process or thread kind is: beside us, as source or as build. */
export function entryUrl(name: 'planner' | 'slot' | 'io-worker' | 'api'): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, import.meta.url)
}
