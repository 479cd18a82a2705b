import { describe, expect, test } from 'vitest'
import { type DataStream, OutputTag, StreamExecutionEnvironment, Types, ValueStateDescriptor } from '../../bin/api.ts'
import { fieldsRead } from '../planner/fields-read.ts'
import { buildJobGraph } from './job-graph-builder.ts'
import { planText } from './plan-text.ts'
import { mayProject, withProjections } from './projection.ts'

/** What of a graph's edges and outputs is read, with real functions. */
type Four = [string, number, number, string]
const four = Types.tuple(Types.STRING, Types.INT, Types.INT, Types.STRING)

function planned(program: (rows: DataStream<Four>, env: StreamExecutionEnvironment) => unknown) {
  const env = StreamExecutionEnvironment.createForProgram({})
  const rows = env
    .fromSequence(0, 9)
    .map<Four>(n => [`${n}`, n, n, ''])
    .returns(four)
    .name('rows')
  program(rows, env)
  const streamGraph = env.getStreamGraph()
  const built = buildJobGraph(streamGraph)
  return { built, streamGraph, jobGraph: withProjections(built, streamGraph, fieldsRead) }
}

/** Fields by edge, in the order of the edges, and of the output of each operator that has a name here. */
function fieldsOf(program: Parameters<typeof planned>[0], ...names: string[]) {
  const { jobGraph } = planned(program)
  const operators = jobGraph.vertices.flatMap(vertex => vertex.operators)
  return {
    edges: jobGraph.edges.map(edge => edge.fields),
    outputs: ['rows', ...names].map(name => operators.find(operator => operator.name === name)?.outputFields),
  }
}

const drop = () => {}

describe('fields that are read', () => {
  test('by a function behind an exchange are sent, and its key is made for the sender', () => {
    const program = (rows: DataStream<Four>) =>
      rows
        .keyBy(0)
        .map(([, , n]) => n)
        .addSink(drop)
    expect(fieldsOf(program)).toEqual({ edges: [[2]], outputs: [[0, 2]] })
    expect(fieldsOf(rows => rows.rebalance().map(([, , n]) => n))).toEqual({ edges: [[2]], outputs: [[2]] })
    expect(fieldsOf(rows => rows.broadcast().addSink(row => void row[3].length))).toEqual({ edges: [[3]], outputs: [[3]] })
    expect(fieldsOf(rows => rows.shuffle().flatMap(row => [row[1], row[0]]))).toEqual({ edges: [[0, 1]], outputs: [[0, 1]] })
    expect(fieldsOf(rows => rows.rescale().map(() => 1))).toEqual({ edges: [[]], outputs: [[]] })
  })

  test('by name where rows have names', () => {
    const type = Types.row({ shop: Types.STRING, amount: Types.INT, note: Types.STRING })
    const program = (rows: DataStream<Four>) =>
      rows
        .map(([shop, amount, , note]) => ({ shop, amount, note }))
        .returns(type)
        .keyBy('shop')
        .map(row => row.amount)
    const { jobGraph } = planned(program)
    expect(jobGraph.edges.map(edge => edge.fields)).toEqual([[1]])
    expect(jobGraph.vertices[0]?.operators.at(-1)?.outputFields).toEqual([0, 1])
  })

  test('behind filters count for them too, to the next exchange and its key', () => {
    const chained = (rows: DataStream<Four>) =>
      rows
        .rebalance()
        .filter(row => row[1] > 3)
        .filter(row => row[0] !== '')
        .map(row => row[2])
    expect(fieldsOf(chained)).toEqual({ edges: [[0, 1, 2]], outputs: [[0, 1, 2]] })
    const exchanged = (rows: DataStream<Four>) =>
      rows
        .rebalance()
        .filter(row => row[1] > 3)
        .name('large')
        .keyBy(0)
        .map(row => row[1])
    expect(fieldsOf(exchanged, 'large')).toEqual({
      edges: [[0, 1], [1]],
      outputs: [
        [0, 1],
        [0, 1],
      ],
    })
    const open = (rows: DataStream<Four>) =>
      rows
        .rebalance()
        .filter(row => row[1] > 3)
        .print()
    expect(fieldsOf(open)).toEqual({ edges: [undefined], outputs: [undefined] })
    // What a filter passes under another type has other fields.
    const renamed = (rows: DataStream<Four>) =>
      rows
        .rebalance()
        .filter(row => row[1] > 3)
        .returns(Types.tuple(Types.STRING, Types.INT) as never)
        .map((row: Four) => row[0])
    expect(fieldsOf(renamed)).toEqual({ edges: [undefined], outputs: [undefined] })
  })

  test('by several readers are those of all of them', () => {
    const two = (rows: DataStream<Four>) => {
      rows.rebalance().map(row => row[0])
      rows.keyBy(1).map(row => row[3])
      rows.filter(row => row[3] !== '').addSink(row => void row[0].length)
    }
    expect(fieldsOf(two)).toEqual({ edges: [[0], [3]], outputs: [[0, 1, 3]] })
    const oneReadsAll = (rows: DataStream<Four>) => {
      rows.rebalance().map(row => row[0])
      rows.rebalance().map(row => row)
    }
    expect(fieldsOf(oneReadsAll)).toEqual({ edges: [[0], undefined], outputs: [undefined] })
    const united = (rows: DataStream<Four>) => rows.union(rows.rebalance()).map(row => row[0])
    expect(fieldsOf(united)).toEqual({ edges: [[0], [0]], outputs: [[0]] })
  })

  test('by a key that a function makes are what is proved of that function', () => {
    // It seems to read one field as long as that is not null.
    const tricky = (rows: DataStream<Four>) =>
      rows
        .filter(() => true)
        .keyBy(row => row[0] ?? row[3])
        .map(row => row[1])
    expect(fieldsOf(tricky, 'Filter')).toEqual({
      edges: [[1]],
      outputs: [
        [0, 1, 3],
        [0, 1, 3],
      ],
    })
    const computed = (rows: DataStream<Four>) => rows.keyBy(row => row[0].length).map(row => row[1])
    expect(fieldsOf(computed)).toEqual({ edges: [[1]], outputs: [undefined] })
    const custom = (rows: DataStream<Four>) => rows.partitionCustom(() => 0, 0).map(row => row[1])
    expect(fieldsOf(custom)).toEqual({ edges: [[1]], outputs: [undefined] })
  })

  test.each<[string, (rows: DataStream<Four>) => unknown]>([
    ['a function that hands rows on', rows => rows.rebalance().map(row => [...row])],
    ['a function that reads all of them', rows => rows.rebalance().map(([a, b, c, d]) => [a, b, c, d])],
    ['a printer', rows => rows.rebalance().print()],
    ['a sum', rows => rows.keyBy(0).sum(1)],
    ['a reduction', rows => rows.keyBy(0).reduce(a => a)],
    ['a process function', rows => rows.keyBy(0).process<number>((row, _, out) => out.collect(row[1]))],
    [
      'a function with state',
      rows => {
        class Counts {
          readonly count = new ValueStateDescriptor('count', Types.INT)
          map(row: Four): number {
            return row[1]
          }
        }
        return rows.keyBy(0).map(new Counts())
      },
    ],
    [
      'a function with two inputs',
      rows =>
        rows
          .rebalance()
          .connect(rows.rebalance())
          .map(
            a => a[0],
            b => b[0],
          ),
    ],
    [
      'a function of a single value',
      rows =>
        rows
          .map(row => row[0])
          .returns(Types.STRING)
          .rebalance()
          .map(() => 1),
    ],
    [
      'a function of rows of no declared type',
      rows =>
        rows
          .map(row => row)
          .rebalance()
          .map(row => row[0]),
    ],
    [
      'a function of a side output',
      rows =>
        rows
          .process<number>(() => {})
          .getSideOutput(new OutputTag<Four>('side', four))
          .rebalance()
          .map(row => row[0]),
    ],
  ])('are all of them behind %s', (_, program) => {
    expect(fieldsOf(program).edges.every(fields => fields === undefined)).toBe(true)
  })
})

test('a graph without an exchange of rows to a function needs no proof, so no parser is loaded for it', () => {
  const worth = (program: Parameters<typeof planned>[0]) => {
    const { built, streamGraph } = planned(program)
    return mayProject(built, streamGraph)
  }
  expect(
    worth((_, env) =>
      env
        .fromSequence(0, 1)
        .rebalance()
        .map(n => n)
        .print(),
    ),
  ).toBe(false)
  expect(
    worth(rows =>
      rows
        .keyBy(0)
        .sum(1)
        .map(row => row[0])
        .print(),
    ),
  ).toBe(false)
  expect(worth(rows => rows.rebalance().map(row => row))).toBe(true)
})

test('the plan says which fields travel', () => {
  const text = (program: Parameters<typeof planned>[0]) => {
    const { jobGraph, streamGraph } = planned(program)
    return planText(jobGraph, streamGraph)
  }
  const type = 'TUPLE<STRING, INT, INT, STRING>'
  expect(text(rows => rows.keyBy(0).map(([, , n]) => n))).toContain(`${type}, of which only f2 is read\n`)
  expect(text(rows => rows.rebalance().map(row => row[0] + row[3]))).toContain(`${type}, of which only f0, f3 are read\n`)
  expect(text(rows => rows.rebalance().map(() => 1))).toContain(`${type}, of which no field is read\n`)
  expect(text(rows => rows.rebalance().map(row => row))).toContain(`${type}\n`)
})
