import type { ChainLink } from '../chain-link.ts'
import type { RunnerHost } from '../frame-runner.ts'
import type { OperatorOutput } from '../operator.ts'
import { GeneratedSegment, type SegmentLink } from './segment.ts'

/**
 * Which operators of a chain run as one generated loop, and where rows of a declared type go in columns. A segment begins at an operator that is
 * a user's function only, and goes on while the one behind it is its output's only reader.
 *
 * The rule for columns: an output's rows are put into columns when its type has a columnar form and everybody who reads it works columns (a
 * generated loop, a typed aggregate); a reader of rows gets them as objects, by reference inside a slot. Measured: bench/micro/segments.ts.
 */
export function segmentAt(
  host: RunnerHost & { readonly generated: boolean; readonly jobName: string },
  links: readonly ChainLink[],
  index: number,
  outputOf: (index: number) => OperatorOutput,
): GeneratedSegment | undefined {
  if (!host.generated) return undefined
  const path: SegmentLink[] = []
  let at = index
  for (;;) {
    const link = links[at]
    const step = link?.operator.generatedStep?.()
    if (link === undefined || step === undefined) break
    path.push({ link, step })
    if (step.kind === 'sink') break
    const next = onlyReader(links, at)
    if (next === undefined || links[next]?.operator.generatedStep?.() === undefined) break
    at = next
  }
  const last = path.at(-1)
  if (last === undefined) return undefined
  const isSink = last.step.kind === 'sink'
  return new GeneratedSegment(host, {
    jobName: host.jobName,
    links: path,
    parent: links[index]?.parent ?? -1,
    input: links[index]?.inputLayouts?.[0],
    output: isSink ? undefined : outputOf(at),
    outputLayout: !isSink && wantsFrames(links, at, true) ? last.link.outputLayout : undefined,
    outputFields: last.link.outputFields,
  })
}

/** Index of the chained operator that alone reads the main output of another, which has no side outputs either. */
function onlyReader(links: readonly ChainLink[], index: number): number | undefined {
  if ((links[index]?.networkOutputs.length ?? 0) > 0) return undefined
  const readers = links.flatMap((link, i) => (link.parent === index ? [i] : []))
  const [only] = readers
  return readers.length === 1 && only !== undefined && links[only]?.parentTag === undefined ? only : undefined
}

/** Whether everybody who reads the main output of a link works columns. */
export function wantsFrames(links: readonly ChainLink[], index: number, generated: boolean): boolean {
  const link = links[index]
  if (link?.outputLayout === undefined) return false
  const network = link.networkOutputs.filter(({ tag }) => tag === undefined)
  const chained = links.filter(({ parent, parentTag }) => parent === index && parentTag === undefined)
  if (network.length + chained.length === 0) return false
  return (
    network.every(output => output.wantsFrames === true) &&
    chained.every(({ operator }) => operator.processFrame !== undefined || (generated && operator.generatedStep?.() !== undefined))
  )
}
