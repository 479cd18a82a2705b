import { isMainThread } from 'node:worker_threads'
import { systemClock } from '../runtime/common/clock.ts'
import { planInWorker, servePlanner } from '../runtime/planner/planner-main.ts'
import { optionTables } from './option-tables.ts'

/** The planner child: `planner --heap-mb N`, request on stdin, answer on descriptor 3. See runtime/planner/planner-protocol.ts. */
const self = new URL(import.meta.url)
const apiUrl = new URL(self.pathname.endsWith('.ts') ? './api.ts' : './api.js', self).href

if (isMainThread) servePlanner(self, { clock: systemClock, heapMb: Number(process.argv[process.argv.indexOf('--heap-mb') + 1]) || 512 })
else planInWorker(apiUrl, optionTables)
