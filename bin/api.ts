import { setBuiltInConnectors } from '../runtime/api/index.ts'
import { builtInConnectorsOfEngine } from '../runtime/connectors/built-in.ts'

/** What `import … from 'millrace'` means: the DataStream API with the connectors it starts from. */
setBuiltInConnectors(builtInConnectorsOfEngine)

export * from '../runtime/api/index.ts'
