/**
 * What a store would have noted of a FlinkJob's runs: every claim of an epoch, by which generation of a JobManager, and what the next run has to go on from. Two things must
 * never be, and are said as violations:
 *
 * - A claim succeeds while another generation, whose JobManager lives, holds running tasks of the job: it would have claimed too.
 * - A savepoint is lost: nothing newer exists, and the next run that is to keep its state goes on from something else.
 */
export interface EpochClaim {
  readonly jobId: string
  readonly generation: number
  readonly epoch: number
  readonly kind: 'takeover' | 'checkpoint' | 'savepoint'
}

export class EpochClaims {
  readonly claims: EpochClaim[] = []
  /** How many savepoints were completed. */
  savepoints = 0
  private readonly violations: string[]
  private generation = 0
  private readonly living = new Set<number>()
  /** By job id: generations that hold running tasks. */
  private readonly running = new Map<string, Set<number>>()
  /** The newest of what there is, where it is a savepoint. */
  private owed: string | undefined

  constructor(violations: string[]) {
    this.violations = violations
  }

  /** A JobManager begins. */
  begin(): void {
    this.living.add(++this.generation)
  }

  /** No JobManager lives any more: what its tasks still do is claimed by nobody. */
  end(): void {
    this.living.clear()
    this.running.clear()
  }

  /** `from`: what it begins with; `givesUp`: the spec says that its state is not to be kept. */
  takeOver(jobId: string, from: string | undefined, givesUp: boolean): void {
    if (this.owed !== undefined && from !== this.owed && !givesUp)
      this.violations.push(`${this.owed} is lost: the job goes on from ${from ?? 'nothing'}`)
    this.owed = undefined
    const holders = this.running.get(jobId) ?? new Set()
    this.running.set(jobId, holders.add(this.generation))
    this.claim(jobId, 'takeover')
  }

  completed(jobId: string, location: string): void {
    const kind = location.startsWith('savepoint') ? 'savepoint' : 'checkpoint'
    if (kind === 'savepoint') this.savepoints++
    this.owed = kind === 'savepoint' ? location : undefined
    this.claim(jobId, kind)
  }

  jobEnded(jobId: string): void {
    this.running.get(jobId)?.delete(this.generation)
  }

  /** Its state was removed, or the FlinkJob has gone and what it leaves is its owner's. */
  forget(): void {
    this.owed = undefined
  }

  private claim(jobId: string, kind: EpochClaim['kind']): void {
    const { generation } = this
    const epoch = this.claims.filter(claim => claim.jobId === jobId).length + 1
    this.claims.push({ jobId, generation, epoch, kind })
    for (const other of this.running.get(jobId) ?? [])
      if (other !== generation && this.living.has(other))
        this.violations.push(
          `generations ${other} and ${generation} hold running tasks of job ${jobId}, and ${generation} has claimed epoch ${epoch}`,
        )
  }
}
