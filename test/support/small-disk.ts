import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { FlinkError } from '../../runtime/common/errors.ts'

/** A file system of its own, in memory, that can be full or read-only as a disk can. Mounting needs root, or `sudo` without a password. */
export class SmallDisk implements Disposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static mount(path: string): SmallDisk {
    mkdirSync(path)
    privileged('mount', '-t', 'tmpfs', '-o', 'size=4m,mode=777', 'millrace-test', path)
    return new SmallDisk(path)
  }

  /** To the last byte. */
  fill(): void {
    this.write('w')
  }

  /** What somebody has left meanwhile. */
  fillAgain(): void {
    this.write('a')
  }

  private write(flags: 'w' | 'a'): void {
    const file = openSync(this.filler, flags)
    try {
      const page = Buffer.alloc(4096)
      for (;;) writeSync(file, page)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.filler)
  }

  /** As soon as nobody is in the middle of writing to it. */
  async makeReadOnly(): Promise<void> {
    for (;;) {
      try {
        return privileged('mount', '-o', 'remount,ro', this.path)
      } catch (error) {
        if (!/busy/i.test(String(error))) throw error
        await new Promise(resolve => setTimeout(resolve, 5))
      }
    }
  }

  makeWritable(): void {
    privileged('mount', '-o', 'remount,rw', this.path)
  }

  files(): string[] {
    return readdirSync(this.path, { recursive: true, withFileTypes: true }).flatMap(entry => (entry.isFile() ? [entry.name] : []))
  }

  [Symbol.dispose](): void {
    // Also while somebody has a file of it open.
    privileged('umount', '--lazy', this.path)
  }

  private get filler(): string {
    return join(this.path, 'filler')
  }
}

function privileged(...command: readonly string[]): void {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const [program = '', ...args] = [...sudo, ...command]
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0)
    throw new FlinkError(
      'EXTERNAL_SYSTEM',
      `${command.join(' ')}: this test mounts a file system of its own, and needs root or sudo without a password: ${error?.message ?? stderr.trim()}`,
    )
}
