/** What several slots of a process restore from, read once: at another parallelism each of them needs a part of the same objects. */
export class SharedReads<R> {
  private readonly found = new Map<string, Promise<R>>()
  private users = 0

  /** What is read meanwhile is kept until nobody restores any more. */
  async during<T>(restore: () => Promise<T>): Promise<T> {
    this.users++
    try {
      return await restore()
    } finally {
      if (--this.users === 0) this.found.clear()
    }
  }

  /** Nobody may change it. One that has failed is tried again by the next one who asks. */
  once(name: string, read: () => Promise<R>): Promise<R> {
    const found = this.found.get(name)
    if (found !== undefined) return found
    const reading = read()
    this.found.set(name, reading)
    reading.catch(() => this.found.delete(name))
    return reading
  }
}
