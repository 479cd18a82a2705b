import { z } from 'zod'
import { expected, map, metadata, yesOrNo } from './fields.ts'

/** A ConfigMap of Kubernetes, as far as manifests beside a FlinkJob have one: the texts that `spec.job.configMapRef` refers to. */
export const CONFIG_MAP_KIND = 'ConfigMap'

const texts = z.record(z.string(), z.string(expected('a text')), expected('a map of texts'))

export const configMapSchema = map(
  {
    apiVersion: z.literal('v1', expected('v1')),
    kind: z.literal(CONFIG_MAP_KIND, expected(CONFIG_MAP_KIND)),
    metadata,
    data: texts.optional(),
    binaryData: texts.optional(),
    immutable: yesOrNo.optional(),
  },
  'a ConfigMap manifest: a map with apiVersion, kind, metadata and data',
)
