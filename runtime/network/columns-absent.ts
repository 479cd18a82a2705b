/** Frames without the columns that no reader of an edge reads. */
import { assert } from '../common/assert.ts'
import { type AbsentColumn, absentColumn, type LocalColumn, type LocalFrame } from './columns.ts'
import type { ColumnBuilder } from './columns-builder.ts'

export class ColumnProjection {
  /** Values that were left out: rows times columns. */
  valuesDropped = 0
  private readonly keeps: readonly boolean[]
  private readonly dropCount: number

  /** `fields` are indices of the columns that stay. */
  constructor(fields: readonly number[], columnCount: number) {
    this.keeps = Array.from({ length: columnCount }, (_, i) => fields.includes(i))
    this.dropCount = this.keeps.filter(keeps => !keeps).length
  }

  project(frame: LocalFrame): LocalFrame {
    const { keeps } = this
    const { columns } = frame
    assert(columns.length === keeps.length, 'a frame has the columns of its type')
    this.valuesDropped += frame.length * this.dropCount
    const projected: LocalColumn[] = []
    for (let i = 0; i < keeps.length; i++) projected.push(keeps[i] === true ? columns[i]! : absentColumn)
    return { kind: 'columnar', length: frame.length, columns: projected, timestamps: frame.timestamps, rowKinds: frame.rowKinds }
  }
}

/** Kinds of an edge's columns as they are on the wire. */
export function projectedKinds(kinds: readonly string[], fields: readonly number[]): readonly string[] {
  return kinds.map((kind, i) => (fields.includes(i) ? kind : absentColumn.kind))
}

export class AbsentColumnBuilder implements ColumnBuilder<AbsentColumn> {
  count = 0

  appendNull(): void {
    this.count++
  }

  appendFrom(): void {
    this.count++
  }

  gather(_column: AbsentColumn, _order: Int32Array, from: number, to: number): void {
    this.count += to - from
  }

  appendRange(_column: AbsentColumn, from: number, to: number): void {
    this.count += to - from
  }

  finish(): AbsentColumn {
    this.count = 0
    return absentColumn
  }

  recycle(): void {}
}
