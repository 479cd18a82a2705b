import { FlinkError } from '../common/errors.ts'
import type { StreamNode } from '../graph/stream-graph.ts'

/** What users may set on an operator, checked where they write it. */
export function setNodeName(node: StreamNode, name: string): void {
  node.name = requireText(name, node, 'name')
}

export function setNodeUid(node: StreamNode, uid: string): void {
  node.uid = requireText(uid, node, 'uid')
}

export function setNodeParallelism(node: StreamNode, parallelism: number): void {
  checkParallelism(parallelism, `operator '${node.name}': parallelism`)
  if (node.nonParallel && parallelism !== 1)
    throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}': The parallelism of non parallel operator must be 1.`)
  node.parallelism = parallelism
}

export function setNodeMaxParallelism(node: StreamNode, maxParallelism: number): void {
  checkParallelism(maxParallelism, `operator '${node.name}': max parallelism`)
  if (node.nonParallel && maxParallelism !== 1)
    throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}': The maximum parallelism of non parallel operator must be 1.`)
  node.maxParallelism = maxParallelism
}

export function setNodeSlotSharingGroup(node: StreamNode, group: string): void {
  node.slotSharingGroup = requireText(group, node, 'slotSharingGroup')
}

export function checkParallelism(value: number, what: string): void {
  if (!Number.isInteger(value) || value < 1 || value > 32_768)
    throw new FlinkError('INVALID_PROGRAM', `${what} is a whole number from 1 to 32768, got ${value}`)
}

function requireText(value: string, node: StreamNode, method: string): string {
  if (typeof value !== 'string' || value === '')
    throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}': ${method} takes a text that is not empty`)
  return value
}
