import { apiOptions } from '../runtime/api/options.ts'
import { highAvailabilityOptions } from '../runtime/checkpoint/ha-options.ts'
import { checkpointingOptions } from '../runtime/checkpoint/options.ts'
import { s3OptionTable } from '../runtime/checkpoint/storage/s3-options.ts'
import { cliOptionTable } from '../runtime/cli/options.ts'
import type { OptionTable } from '../runtime/common/config.ts'
import { processOptionTable } from '../runtime/common/options.ts'
import { kafkaOptions } from '../runtime/connectors/kafka/options.ts'
import { graphOptions } from '../runtime/graph/options.ts'
import { jobManagerOptions } from '../runtime/jobmanager/options.ts'
import { networkOptions } from '../runtime/network/options.ts'
import { restOptionTable } from '../runtime/rest/options.ts'
import { tableOptionTable } from '../runtime/table/options.ts'
import { taskExecutorOptions } from '../runtime/taskmanager/task-executor-options.ts'
import { taskOptions } from '../runtime/taskmanager/task-options.ts'

/** Every option that is known: a key outside of these is refused wherever it stands. */
export const optionTables: readonly OptionTable[] = [
  processOptionTable,
  apiOptions,
  tableOptionTable,
  graphOptions,
  jobManagerOptions,
  checkpointingOptions,
  highAvailabilityOptions,
  taskExecutorOptions,
  taskOptions,
  networkOptions,
  kafkaOptions,
  s3OptionTable,
  restOptionTable,
  cliOptionTable,
]
