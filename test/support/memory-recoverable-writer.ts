import { FlinkError } from '../../runtime/common/errors.ts'
import type { JsonObject } from '../../runtime/common/json.ts'
import {
  inProgressName,
  isAbandoned,
  type PartOwner,
  type PartStream,
  type RecoverableWriter,
} from '../../runtime/connectors/files/recoverable-writer.ts'

/** Files of many writers, which outlive them. */
export class MemoryFiles {
  /** By path; hidden ones as on a file system. */
  readonly files = new Map<string, string>()

  writer(owner: PartOwner, life: Life = immortal): RecoverableWriter {
    return new MemoryRecoverableWriter(this.files, owner, life)
  }

  visible(): Record<string, string> {
    return Object.fromEntries([...this.files].filter(([path]) => !isHidden(path)))
  }

  hidden(): string[] {
    return [...this.files.keys()].filter(isHidden)
  }
}

/** Asked before and after every call of a writer; throws where its process is dead. What a dead process leaves stays. */
export interface Life {
  check(): void
  readonly dead: boolean
}

export const immortal: Life = { check() {}, dead: false }

const isHidden = (path: string) => path.split('/').at(-1)?.startsWith('.') === true

class MemoryRecoverableWriter implements RecoverableWriter {
  private readonly files: Map<string, string>
  private readonly owner: PartOwner
  private readonly life: Life

  constructor(files: Map<string, string>, owner: PartOwner, life: Life) {
    this.files = files
    this.owner = owner
    this.life = life
  }

  open(target: string): Promise<PartStream> {
    return this.begin(target, '')
  }

  async recover(recoverable: JsonObject, target: string): Promise<PartStream> {
    const { inProgress, length } = fields(recoverable)
    const present = this.files.get(inProgress)
    if (present === undefined || present.length < length) throw new FlinkError('OUTCOME_UNKNOWN', `${inProgress} is not there`)
    return this.begin(target, present.slice(0, length))
  }

  async commit(committable: JsonObject): Promise<'committed' | 'already'> {
    const { inProgress, target } = fields(committable)
    return this.step(() => {
      const pending = this.files.get(inProgress)
      if (pending === undefined) {
        if (this.files.has(target)) return 'already'
        throw new FlinkError('OUTCOME_UNKNOWN', `${target} is neither there nor waiting to be`)
      }
      if (this.files.has(target)) throw new FlinkError('CONFLICT', `${target} exists`)
      this.files.set(target, pending)
      this.files.delete(inProgress)
      return 'committed'
    })
  }

  sweep(): Promise<void> {
    return this.step(() => {
      for (const path of this.files.keys()) if (isAbandoned(path.split('/').at(-1) ?? '', this.owner)) this.files.delete(path)
    })
  }

  private begin(target: string, text: string): Promise<PartStream> {
    const folders = target.split('/')
    const inProgress = [...folders.slice(0, -1), inProgressName(folders.at(-1) ?? '', this.owner)].join('/')
    return this.step(() => {
      this.files.set(inProgress, text)
      return this.stream(inProgress, target)
    })
  }

  private stream(inProgress: string, target: string): PartStream {
    const { files, life } = this
    const recoverable = () => ({ inProgress, target, length: files.get(inProgress)?.length ?? 0 })
    return {
      write: bytes => this.step(() => void files.set(inProgress, (files.get(inProgress) ?? '') + Buffer.from(bytes).toString())),
      persist: () => this.step(recoverable),
      closeForCommit: () => this.step(recoverable),
      close: async () => {},
      dispose: async () => {
        if (!life.dead) files.delete(inProgress)
      },
    }
  }

  /** Another turn, as a real file system takes. */
  private async step<T>(act: () => T): Promise<T> {
    await Promise.resolve()
    this.life.check()
    const result = act()
    this.life.check()
    return result
  }
}

function fields({ inProgress, target, length }: JsonObject): { inProgress: string; target: string; length: number } {
  if (typeof inProgress !== 'string' || typeof target !== 'string' || typeof length !== 'number')
    throw new FlinkError('CORRUPT_CHECKPOINT', 'no recoverable of this writer')
  return { inProgress, target, length }
}
