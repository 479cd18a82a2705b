import { expect, test } from 'vitest'
import { bytesOf, readAll } from './format-test-kit.ts'

const columns = [
  { name: 'id', type: 'BIGINT' },
  { name: 'price', type: 'DECIMAL(18, 2)' },
  { name: 'big', type: 'DECIMAL(30, 4)' },
  { name: 'name', type: 'STRING' },
]
const page = (lines: readonly string[]) => bytesOf(lines.map(line => `${line}\n`).join(''))
const read = (lines: readonly string[], projected?: readonly number[]) =>
  readAll([page(lines)], { format: 'json', columns, ...(projected === undefined ? {} : { projected }) })

test('a generated JSON reader: any key order, a fast path, exact integers and decimals, projection, and the general reader for one record at a time', () => {
  const value = (i: number) => ({
    id: `${9007199254740993n + BigInt(i)}`,
    price: `${i}.05`,
    big: `12345678901234567890.${1000 + i}`,
    name: `"n${i}"`,
  })
  const inOrder = (i: number, keys: readonly (keyof ReturnType<typeof value>)[]) => `{${keys.map(key => `"${key}":${value(i)[key]}`).join(',')}}`
  const row = (i: number) => [9007199254740993n + BigInt(i), BigInt(i * 100 + 5), `12345678901234567890${1000 + i}`, `n${i}`]
  const orders = [
    ['id', 'price', 'big', 'name'],
    ['name', 'big', 'price', 'id'],
    ['big', 'id', 'name', 'price'],
  ] as const
  // Any key order: each is a look of its own, learned from its first record, and then fast.
  const lines = Array.from({ length: 300 }, (_, i) => inOrder(i, orders[i % 3]!))
  const three = read(lines)
  expect(three.error).toBeUndefined()
  // Exact from the bytes: 9007199254740993 is no double, and 24 digits are no long.
  expect(three.rows).toEqual(Array.from({ length: 300 }, (_, i) => row(i)))
  const fast = read(
    Array.from({ length: 300 }, (_, i) => inOrder(i, orders[0])),
    [0, 1, 3],
  )
  expect(fast.slowRecords).toBe(1)
  expect(read(lines, [0, 1, 3]).slowRecords).toBe(3)
  // Projection: columns that nobody wants are scanned, not converted; the order is the caller's.
  const broken = [
    inOrder(0, orders[0]),
    inOrder(1, orders[0])
      .replace('"n1"', '{"a":["x",1]}')
      .replace(/"price":[^,]*/, '"price":"no number"'),
  ]
  expect(read(broken, [2, 0]).rows).toEqual([0, 1].map(i => [row(i)[2], row(i)[0]]))
  // One record by the general reader, the next ones by the generated one again.
  const odd = Array.from({ length: 300 }, (_, i) =>
    i === 100 ? `{ "name" : "\\u006e100", "id" : "${value(100).id}", "price": 1.0005e2, "big": ${value(100).big} }` : inOrder(i, orders[0]),
  )
  const one = read(odd, [0, 1, 3])
  expect(one.rows).toEqual(Array.from({ length: 300 }, (_, i) => [row(i)[0], row(i)[1], row(i)[3]]))
  expect(one.slowRecords).toBeLessThanOrEqual(3)
})
