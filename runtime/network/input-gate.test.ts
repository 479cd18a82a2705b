import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { silentDoorbell } from './doorbell.ts'
import { type ChannelElement, type ChannelWriter, MAX_WATERMARK } from './frame.ts'
import { ChannelInputGate } from './input-gate.ts'
import { LocalChannel } from './local-channel.ts'

/** Channels are named a, b, c … over all inputs. A script line `a:row`, `a:w5`, `a:idle`, `a:active`, `a:#3` (barrier), `a:end` puts one element. */
function gate(channelsPerInput: number[], mode: 'exactly-once' | 'at-least-once' = 'exactly-once') {
  const writers: ChannelWriter[] = []
  const inputs = channelsPerInput.map(count =>
    Array.from({ length: count }, () => {
      const channel = new LocalChannel(100, silentDoorbell, silentDoorbell)
      writers.push(channel.writer)
      return channel.reader
    }),
  )
  const inputGate = new ChannelInputGate({ inputs, mode })
  return {
    inputGate,
    put(...script: string[]) {
      for (const line of script) {
        const [name, what] = line.split(':') as [string, string]
        writers[name.charCodeAt(0) - 97]!.offer(parse(what))
      }
    },
    take(): string[] {
      const out: string[] = []
      for (let element = inputGate.poll(); element !== undefined; element = inputGate.poll()) {
        if (element.kind === 'frame') {
          out.push(element.frame.kind === 'object' ? String(element.frame.rows[0]) : `columns of ${element.frame.length}`)
          continue
        }
        const { control, input } = element
        const prefix = channelsPerInput.length > 1 ? `${input}:` : ''
        if (control.kind === 'watermark') out.push(`${prefix}w${control.timestamp}`)
        else if (control.kind === 'status') out.push(`${prefix}${control.idle ? 'idle' : 'active'}`)
        else if (control.kind === 'barrier') out.push(`#${control.barrier.checkpointId}`)
        else out.push(`${prefix}${control.kind}`)
      }
      return out
    },
  }
}

function parse(what: string): ChannelElement {
  if (what === 'wMAX') return { kind: 'watermark', timestamp: MAX_WATERMARK }
  if (/^w\d+$/.test(what)) return { kind: 'watermark', timestamp: Number(what.slice(1)) }
  if (what === 'idle' || what === 'active') return { kind: 'status', idle: what === 'idle' }
  if (what.startsWith('#')) return { kind: 'barrier', barrier: { checkpointId: Number(what.slice(1)), timestampMs: 0, type: 'checkpoint' } }
  if (what === 'end') return { kind: 'end' }
  return { kind: 'object', rows: [what], timestamps: undefined, rowKinds: undefined }
}

describe('reading in turn', () => {
  test('channels take turns, blocked and ended ones are passed over', () => {
    const { put, take } = gate([3])
    put('a:a1', 'a:a2', 'a:a3', 'b:b1', 'b:b2', 'c:end')
    expect(take()).toEqual(['a1', 'b1', 'a2', 'b2', 'a3'])
  })

  test('frames carry input, channel within the input, and a sequence per channel', () => {
    const { put, inputGate } = gate([1, 2])
    put('c:x', 'c:y', 'a:z')
    expect([inputGate.poll(), inputGate.poll(), inputGate.poll()].map(e => e?.kind === 'frame' && [e.input, e.channel, e.sequence])).toEqual([
      [0, 0, 0],
      [1, 1, 0],
      [1, 1, 1],
    ])
    expect([inputGate.numBuffersIn, inputGate.numRecordsIn]).toEqual([3, 3])
  })

  test('each input ends once, when its last channel has; the gate is finished with the last input', () => {
    const { put, take, inputGate } = gate([2, 1])
    put('a:end')
    expect(take()).toEqual([])
    put('c:end')
    expect(take()).toEqual(['1:end'])
    expect(inputGate.isFinished).toBe(false)
    put('b:x', 'b:end')
    expect(take()).toEqual(['x', '0:end'])
    expect(inputGate.isFinished).toBe(true)
  })
})

describe('watermarks of an input', () => {
  test.each<[string, number, [string[], string[]][]]>([
    [
      'are the minimum of the channels',
      2,
      [
        [['a:w5'], []],
        [['b:w3'], ['w3']],
        [['b:w9'], ['w5']],
        [['a:w7'], ['w7']],
      ],
    ],
    [
      'never go back',
      2,
      [
        [['a:w5', 'b:w5'], ['w5']],
        [['a:w4', 'b:w3'], []],
        [['a:w6', 'b:w6'], ['w6']],
      ],
    ],
    [
      'are not held back by an idle channel',
      2,
      [
        [['a:w5'], []],
        [['b:idle'], ['w5']],
        [['a:w8'], ['w8']],
      ],
    ],
    [
      'ignore what an idle channel says',
      2,
      [
        [['a:w5', 'b:idle'], ['w5']],
        [['b:w9'], []],
        [['a:w6'], ['w6']],
      ],
    ],
    [
      'count a channel that woke only when it has caught up',
      2,
      [
        [
          ['a:w5', 'b:idle', 'a:w10'],
          ['w5', 'w10'],
        ],
        [['b:active'], []],
        [['a:w12'], ['w12']],
        [['b:w7', 'a:w13'], ['w13']],
        [['b:w14'], []],
        [['a:w20'], ['w14']],
      ],
    ],
    [
      'rise to the greatest when all become idle, and then the input is idle',
      2,
      [
        [['a:w5', 'b:w3'], ['w3']],
        [['a:idle'], []],
        [['b:idle'], ['w5', 'idle']],
      ],
    ],
    [
      'do not rise when the last channel to become idle had not been holding them',
      3,
      [
        [
          ['a:w50', 'b:w20', 'c:w10', 'c:idle'],
          ['w10', 'w20'],
        ],
        [['c:active', 'a:idle', 'b:idle'], []],
        [['c:idle'], ['idle']],
      ],
    ],
    [
      'an idle input becomes active with its first channel',
      2,
      [
        [['a:idle', 'b:idle'], ['idle']],
        [['b:active'], ['active']],
        [['b:w4'], ['w4']],
        [['a:active'], []],
      ],
    ],
    [
      'repeated statuses say nothing',
      1,
      [
        [
          ['a:idle', 'a:idle', 'a:active', 'a:active'],
          ['idle', 'active'],
        ],
      ],
    ],
    [
      'do not wait for an ended channel',
      2,
      [
        [['a:w5', 'b:w3'], ['w3']],
        [['b:end'], ['w5']],
        [['a:w6'], ['w6']],
      ],
    ],
    [
      'reach MAX when every channel has',
      2,
      [
        [['a:wMAX', 'a:end'], []],
        [['b:w3'], ['w3']],
        [
          ['b:wMAX', 'b:end'],
          ['wInfinity', 'end'],
        ],
      ],
    ],
    ['do not reach MAX when a channel ended without it', 2, [[['a:w5', 'a:end', 'b:wMAX', 'b:end'], ['end']]]],
    [
      'do not reach MAX while another channel is merely idle',
      2,
      [
        [['a:w4', 'b:w4', 'b:idle'], ['w4']],
        [['a:wMAX', 'a:end'], ['idle']],
        [
          ['b:active', 'b:w6'],
          ['active', 'w6'],
        ],
        [
          ['b:wMAX', 'b:end'],
          ['wInfinity', 'end'],
        ],
      ],
    ],
    [
      'reach MAX also when a source ends while it is idle',
      1,
      [
        [
          ['a:w4', 'a:idle'],
          ['w4', 'idle'],
        ],
        [
          ['a:wMAX', 'a:end'],
          ['active', 'wInfinity', 'end'],
        ],
      ],
    ],
  ])('%s', (_title, channels, steps) => {
    const { put, take } = gate([channels])
    for (const [script, expected] of steps) {
      // Taken line by line: the order between channels is then the script's, not the gate's turn.
      const got = script.flatMap(line => {
        put(line)
        return take()
      })
      expect(got).toEqual(expected)
    }
  })

  test('two inputs are kept apart', () => {
    const { put, take } = gate([1, 1])
    put('a:w5')
    expect(take()).toEqual(['0:w5'])
    put('b:idle')
    expect(take()).toEqual(['1:idle'])
    put('b:active', 'b:w2')
    expect(take()).toEqual(['1:active', '1:w2'])
  })
})

describe('barriers, exactly-once', () => {
  test('rows behind a barrier wait until it is everywhere', () => {
    const { put, take, inputGate } = gate([2])
    put('a:a1', 'a:#1', 'a:a2', 'b:b1')
    expect(inputGate.hasInput()).toBe(true)
    expect(take()).toEqual(['a1', 'b1'])
    // A row waits behind the barrier, but asking again would be in vain: the host may sleep.
    expect(inputGate.hasInput()).toBe(false)
    put('b:b2', 'b:#1', 'b:b3')
    expect(take()).toEqual(['b2', '#1', 'a2', 'b3'])
  })

  test('a single channel passes its barrier on at once', () => {
    const { put, take } = gate([1])
    put('a:x', 'a:#1', 'a:y', 'a:#2')
    expect(take()).toEqual(['x', '#1', 'y', '#2'])
  })

  test('channels of both inputs are aligned together', () => {
    const { put, take } = gate([1, 1])
    put('a:#1', 'a:x')
    expect(take()).toEqual([])
    put('b:y', 'b:#1')
    expect(take()).toEqual(['y', '#1', 'x'])
  })

  test('a channel that has ended does not hold a barrier up', () => {
    const { put, take } = gate([2])
    put('b:end', 'a:#1', 'a:x')
    expect(take()).toEqual(['#1', 'x'])
  })

  test('a channel that ends while others wait completes the barrier, before the end', () => {
    const { put, take } = gate([2])
    put('a:#1', 'a:x', 'a:end')
    expect(take()).toEqual([])
    put('b:y', 'b:end')
    expect(take()).toEqual(['y', '#1', 'x', 'end'])
  })

  test('a newer barrier supersedes an incomplete older one, whose late barriers are ignored', () => {
    const { put, take } = gate([3])
    put('a:#1', 'a:a2')
    expect(take()).toEqual([])
    put('b:#2', 'b:b2')
    expect(take()).toEqual(['a2'])
    put('c:#1', 'c:c1', 'a:a3', 'a:#2', 'a:a4')
    expect(take().sort()).toEqual(['a3', 'c1'])
    put('c:#2')
    expect(take().sort()).toEqual(['#2', 'a4', 'b2'])
  })

  test('barriers of a completed checkpoint are ignored when they come again', () => {
    const { put, take } = gate([2])
    put('a:#1', 'b:#1')
    expect(take()).toEqual(['#1'])
    put('a:#1', 'a:x')
    expect(take()).toEqual(['x'])
  })

  test('an aborted checkpoint lets its channels flow and its late barriers pass unseen', () => {
    const { put, take, inputGate } = gate([2])
    put('a:#1', 'a:x')
    expect(take()).toEqual([])
    inputGate.abortCheckpoint(1)
    expect(take()).toEqual(['x'])
    put('b:#1', 'b:y', 'a:#2', 'b:#2')
    expect(take()).toEqual(['y', '#2'])
  })
})

test('at-least-once counts barriers without blocking', () => {
  const { put, take } = gate([2], 'at-least-once')
  put('a:#1', 'a:x')
  expect(take()).toEqual(['x'])
  put('b:#1')
  expect(take()).toEqual(['#1'])
})

test('whatever the interleaving, each snapshot holds exactly the rows before its barriers, and the watermark is what a plain minimum says', () => {
  const step = fc.record({ channel: fc.nat({ max: 2 }), what: fc.constantFrom('row', 'row', 'watermark', 'barrier', 'take') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), steps => {
      const { put, take } = gate([3])
      const rowsBefore: Map<number, number>[] = [new Map(), new Map(), new Map()]
      const rowCounts = [0, 0, 0]
      const barriers = [0, 0, 0]
      const watermarks = [0, 0, 0]
      const out: string[] = []
      for (const { channel, what } of steps) {
        const name = 'abc'[channel]!
        if (what === 'take') out.push(...take())
        else if (what === 'row') put(`${name}:${name}${rowCounts[channel]!++}`)
        else if (what === 'watermark') {
          watermarks[channel]! += 1 + ((channel * 7) % 3)
          put(`${name}:w${watermarks[channel]}`)
        } else {
          const id = ++barriers[channel]!
          rowsBefore[channel]!.set(id, rowCounts[channel]!)
          put(`${name}:#${id}`)
        }
      }
      // Every channel catches up with the barriers of the others, so that nothing stays blocked.
      const last = Math.max(...barriers)
      for (let channel = 0; channel < 3; channel++) {
        while (barriers[channel]! < last) {
          rowsBefore[channel]!.set(++barriers[channel]!, rowCounts[channel]!)
          put(`${'abc'[channel]}:#${barriers[channel]}`)
        }
      }
      out.push(...take())
      for (let id = 1; id <= last; id++) {
        const before = out.slice(0, out.indexOf(`#${id}`))
        expect(out).toContain(`#${id}`)
        for (let channel = 0; channel < 3; channel++) {
          const rows = before.filter(item => item.startsWith('abc'[channel]!))
          expect(rows).toEqual(Array.from({ length: rowsBefore[channel]!.get(id)! }, (_, i) => `${'abc'[channel]}${i}`))
        }
      }
      const seen = out.filter(item => item.startsWith('w')).map(item => Number(item.slice(1)))
      expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
      if (watermarks.every(watermark => watermark > 0)) expect(seen.at(-1)).toBe(Math.min(...watermarks))
      else expect(seen).toEqual([])
    }),
  )
})
