import type { Configuration } from '../common/config.ts'
import { FlinkError } from '../common/errors.ts'
import { defaultMaxParallelism } from '../serde/key-groups.ts'
import type { OperatorSpec } from './job-graph.ts'
import { parallelismDefault, pipelineMaxParallelism } from './options.ts'
import type { StreamGraph, StreamNode } from './stream-graph.ts'
import { operatorName } from './stream-graph-order.ts'

export const MAX_PARALLELISM_LIMIT = 32_768

export interface ResolvedParallelism {
  readonly parallelism: number
  readonly origin: OperatorSpec['parallelismOrigin']
  readonly maxParallelism: number
}

/**
 * Operator > `env.setParallelism` > options set in code > client (`-p`, `-D`) > configuration file > default. The layers are in
 * `configuration` already, which remembers where a value came from.
 */
export function resolveParallelism(
  node: StreamNode,
  graph: StreamGraph,
  configuration: Configuration,
  defaultParallelism: number,
): ResolvedParallelism {
  const { parallelism, origin } = node.nonParallel ? nonParallel(node) : parallelismOf(node, graph, configuration, defaultParallelism)
  if (!Number.isInteger(parallelism) || parallelism < 1 || parallelism > MAX_PARALLELISM_LIMIT) {
    throw new FlinkError(
      'INVALID_PROGRAM',
      `operator '${operatorName(node)}': parallelism ${parallelism} (${origin}) is not a whole number from 1 to ${MAX_PARALLELISM_LIMIT}`,
    )
  }
  const maxParallelism = maxParallelismOf(node, graph, configuration, parallelism)
  if (!Number.isInteger(maxParallelism) || maxParallelism < 1 || maxParallelism > MAX_PARALLELISM_LIMIT) {
    throw new FlinkError(
      'INVALID_PROGRAM',
      `operator '${operatorName(node)}': max parallelism ${maxParallelism} is not a whole number from 1 to ${MAX_PARALLELISM_LIMIT}`,
    )
  }
  if (maxParallelism < parallelism) {
    throw new FlinkError(
      'INVALID_PROGRAM',
      `operator '${operatorName(node)}': parallelism (${parallelism}) is higher than the max parallelism (${maxParallelism}), lower the parallelism or increase the max parallelism`,
      { parallelism, maxParallelism },
    )
  }
  return { parallelism, origin, maxParallelism }
}

function nonParallel(node: StreamNode): { parallelism: number; origin: OperatorSpec['parallelismOrigin'] } {
  if ((node.parallelism ?? 1) !== 1) {
    throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(node)}': The parallelism of non parallel operator must be 1.`)
  }
  if ((node.maxParallelism ?? 1) !== 1) {
    throw new FlinkError('INVALID_PROGRAM', `operator '${operatorName(node)}': The maximum parallelism of non parallel operator must be 1.`)
  }
  return { parallelism: 1, origin: 'non-parallel' }
}

function parallelismOf(
  node: StreamNode,
  graph: StreamGraph,
  configuration: Configuration,
  defaultParallelism: number,
): { parallelism: number; origin: OperatorSpec['parallelismOrigin'] } {
  if (node.parallelism !== undefined) return { parallelism: node.parallelism, origin: 'operator' }
  if (graph.parallelism !== undefined) return { parallelism: graph.parallelism, origin: 'environment' }
  if (!configuration.has(parallelismDefault.key)) return { parallelism: defaultParallelism, origin: 'default' }
  const origin = configuration.originOf(parallelismDefault.key)
  return { parallelism: configuration.get(parallelismDefault), origin: origin === 'file' ? 'configuration' : origin }
}

function maxParallelismOf(node: StreamNode, graph: StreamGraph, configuration: Configuration, parallelism: number): number {
  if (node.nonParallel) return 1
  if (node.maxParallelism !== undefined) return node.maxParallelism
  if (graph.maxParallelism !== undefined) return graph.maxParallelism
  const configured = configuration.get(pipelineMaxParallelism)
  return configured === -1 ? defaultMaxParallelism(parallelism) : configured
}
