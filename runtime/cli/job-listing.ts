import type { JobRow } from '../rest/types.ts'

/** `millrace list`, in Flink's words: which jobs in which section, in which order, under which rulers. Pure. */
const RUNNING = '------------------ Running/Restarting Jobs -------------------'
const SCHEDULED = '----------------------- Scheduled Jobs -----------------------'
const TERMINATED = '---------------------- Terminated Jobs -----------------------'
const RULER = '-'.repeat(62)

export interface Listing {
  readonly running: boolean
  readonly scheduled: boolean
  readonly all: boolean
}

export function listingLines(jobs: readonly JobRow[], wanted: Listing, timeZone: string): string[] {
  const scheduled = jobs.filter(job => job.state === 'CREATED' || job.state === 'INITIALIZING')
  const terminated = jobs.filter(job => job.state === 'FINISHED' || job.state === 'CANCELED' || job.state === 'FAILED')
  const running = jobs.filter(job => !scheduled.includes(job) && !terminated.includes(job))
  const section = (title: string, rows: readonly JobRow[]) => [title, ...jobLines(rows, timeZone), RULER]
  const lines: string[] = []
  // No choice at all means both.
  const neither = !wanted.running && !wanted.scheduled
  if (wanted.running || wanted.all || neither) lines.push(...(running.length === 0 ? ['No running jobs.'] : section(RUNNING, running)))
  if (wanted.scheduled || wanted.all || neither) lines.push(...(scheduled.length === 0 ? ['No scheduled jobs.'] : section(SCHEDULED, scheduled)))
  if (wanted.all && terminated.length > 0) lines.push(...section(TERMINATED, terminated))
  return lines
}

function jobLines(jobs: readonly JobRow[], timeZone: string): string[] {
  const byState = (job: JobRow) => job.state.toLowerCase()
  const sorted = [...jobs].sort((a, b) => (byState(a) < byState(b) ? -1 : byState(a) > byState(b) ? 1 : a['start-time'] - b['start-time']))
  return sorted.flatMap(job => {
    const line = `${formatDate(job['start-time'], timeZone)} : ${job.jid} : ${job.name} (${job.state})`
    const message = job['millrace-message']
    return message === undefined ? [line] : [line, `    ${message}`]
  })
}

/** `dd.MM.yyyy HH:mm:ss` */
export function formatDate(timeMs: number, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    day: '2-digit',
    month: '2-digit',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(timeMs)
  const part = (type: string) => parts.find(one => one.type === type)?.value ?? ''
  return `${part('day')}.${part('month')}.${part('year')} ${part('hour')}:${part('minute')}:${part('second')}`
}
