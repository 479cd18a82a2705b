import { expect, test } from 'vitest'
import { optionTables } from '../../bin/option-tables.ts'
import { Configuration, parseOptionValue } from '../common/config.ts'
import { deprecatedKeys, isFlinkKey } from '../common/options-flink.ts'

const options = optionTables.flat()

test('every key stands in one table only, with a doc', () => {
  const keys = options.map(option => option.key)
  expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([])
  expect(options.filter(option => option.doc === '').map(option => option.key)).toEqual([])
})

test('the values of an enum parse as themselves, its default among them', () => {
  for (const option of options.filter(candidate => candidate.type === 'enum')) {
    for (const value of option.values ?? []) expect(parseOptionValue(option, value)).toBe(value)
    // Undefined where Flink says (none): what it means then depends on other options.
    if (option.defaultValue !== undefined) expect(option.values).toContain(option.defaultValue)
  }
})

test('a key of Flink that no room has is refused as such, never as a mistyped one', () => {
  const { problems } = Configuration.parse({ 'taskmanager.memory.process.size': '1g', 'jobmanager.scheduler': 'Adaptive' }, optionTables)
  expect(problems).toEqual(['option taskmanager.memory.process.size is not supported yet', 'option jobmanager.scheduler is not supported yet'])
})

test('an old spelling leads to a key that Flink has', () => {
  for (const key of Object.values(deprecatedKeys).flat()) expect([key, isFlinkKey(key)]).toEqual([key, true])
})
