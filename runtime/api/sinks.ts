import { FlinkError } from '../common/errors.ts'
import type { OperatorDefinition } from '../graph/stream-graph.ts'
import type { TypeInformation } from '../serde/type-information.ts'
import { builtInConnectors } from './built-in-connectors.ts'

/** What `sinkTo` takes. `define` answers the operator that writes rows of `type`. */
export interface Sink<T> {
  readonly name: string
  define(type: TypeInformation<T>): OperatorDefinition
}

export class PrintSink<T> implements Sink<T> {
  readonly name: string
  private readonly id: string
  private readonly toStderr: boolean

  constructor(id = '', toStderr = false) {
    if (typeof id !== 'string') throw new FlinkError('INVALID_PROGRAM', `print takes a text that stands before each line, got ${typeof id}`)
    this.name = toStderr ? 'Print to Std. Err' : 'Print to Std. Out'
    this.id = id
    this.toStderr = toStderr
  }

  define(type: TypeInformation<T>): OperatorDefinition {
    return builtInConnectors().print({ id: this.id, toStderr: this.toStderr }, type as TypeInformation)
  }
}

export class TextFileSink<T> implements Sink<T> {
  readonly name = 'Text File'
  private readonly path: string
  private readonly overwrite: boolean

  constructor(path: string, options: { readonly overwrite?: boolean } = {}) {
    if (typeof path !== 'string' || path === '') throw new FlinkError('INVALID_PROGRAM', 'writeAsText takes a path that is not empty')
    this.path = path
    this.overwrite = options.overwrite ?? false
  }

  define(type: TypeInformation<T>): OperatorDefinition {
    return builtInConnectors().writeAsText(this.path, { overwrite: this.overwrite }, type as TypeInformation)
  }
}
