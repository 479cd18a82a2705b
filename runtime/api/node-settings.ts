import { FlinkError } from '../common/errors.ts'
import type { StreamNode } from '../graph/stream-graph.ts'

/**
 * What users may set on an operator, checked where they write it. Methods of whatever stands for one node, the result of an operator or a sink: a class
 * takes them as its fields, as it can have one parent only and that may be the stream.
 */
interface Handle {
  readonly node: StreamNode
}

export function setName<H extends Handle>(this: H, name: string): H {
  this.node.name = requireText(name, this.node, 'name')
  return this
}

export function setUid<H extends Handle>(this: H, uid: string): H {
  this.node.uid = requireText(uid, this.node, 'uid')
  return this
}

export function setParallelism<H extends Handle>(this: H, parallelism: number): H {
  const { node } = this
  checkParallelism(parallelism, `operator '${node.name}': parallelism`)
  if (node.nonParallel && parallelism !== 1)
    throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}': The parallelism of non parallel operator must be 1.`)
  node.parallelism = parallelism
  return this
}

export function setMaxParallelism<H extends Handle>(this: H, maxParallelism: number): H {
  const { node } = this
  checkParallelism(maxParallelism, `operator '${node.name}': max parallelism`)
  if (node.nonParallel && maxParallelism !== 1)
    throw new FlinkError('INVALID_PROGRAM', `operator '${node.name}': The maximum parallelism of non parallel operator must be 1.`)
  node.maxParallelism = maxParallelism
  return this
}

export function setSlotSharingGroup<H extends Handle>(this: H, group: string): H {
  this.node.slotSharingGroup = requireText(group, this.node, 'slotSharingGroup')
  return this
}

export function disableChaining<H extends Handle>(this: H): H {
  this.node.chaining = 'never'
  return this
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
