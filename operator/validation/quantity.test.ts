import { expect, test } from 'vitest'
import { parseQuantity } from './quantity.ts'

// From Kubernetes' own tests of resource.Quantity (apimachinery/pkg/api/resource/quantity_test.go) and its documentation of the format.
test.each([
  ['0', 0n],
  ['1', 1_000_000_000n],
  ['500m', 500_000_000n],
  ['0.5', 500_000_000n],
  ['.5', 500_000_000n],
  ['1.', 1_000_000_000n],
  ['+2', 2_000_000_000n],
  ['-1', -1_000_000_000n],
  ['100n', 100n],
  ['0.1n', 1n],
  ['5u', 5_000n],
  ['12k', 12_000_000_000_000n],
  ['2Gi', 2n * 1024n ** 3n * 1_000_000_000n],
  ['1.5Ki', 1536n * 1_000_000_000n],
  ['1e3', 1_000_000_000_000n],
  ['12E-1', 1_200_000_000n],
  ['1E', 10n ** 27n],
])('%s', (text, nanos) => {
  expect(parseQuantity(text)?.nanos).toBe(nanos)
})

test.each(['', '.', '-', '1.2.3', '5GI', '5Kib', '1 Gi', 'Gi', '1e', '0x1', '1mm'])('%j is none', text => {
  expect(parseQuantity(text)).toBeUndefined()
})
