import { setBuiltInConnectors } from '../runtime/api/index.ts'
import { builtInConnectorsOfEngine } from '../runtime/connectors/built-in.ts'

/** What `import … from 'millrace'` means: the DataStream API with the connectors it starts from. */
setBuiltInConnectors(builtInConnectorsOfEngine)

export * from '../runtime/api/index.ts'
export { BasePathBucketAssigner, type BucketAssigner, DateTimeBucketAssigner } from '../runtime/connectors/files/bucket-assigners.ts'
export { type Encoder, type EncoderStream, SimpleStringEncoder } from '../runtime/connectors/files/encoders.ts'
export { FileSink, OutputFileConfig } from '../runtime/connectors/files/file-sink.ts'
export { DefaultRollingPolicy, OnCheckpointRollingPolicy } from '../runtime/connectors/files/rolling-policies.ts'
export { KafkaSource, type KafkaSourceBuilder } from '../runtime/connectors/kafka/kafka-source.ts'
export { OffsetsInitializer } from '../runtime/connectors/kafka/offsets-initializer.ts'
export { type DeserializationSchema, SimpleStringSchema } from '../runtime/connectors/kafka/value-format.ts'
export { sqlProgram } from '../runtime/table/index.ts'
