import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const folder = new URL('../docs/decisions/', import.meta.url)
const notes = readdirSync(folder).sort()

test('decision notes are numbered once each and say context and decision', () => {
  expect(new Set(notes.map(name => name.slice(0, 4))).size).toBe(notes.length)
  for (const name of notes) {
    expect(name).toMatch(/^\d{4}-[a-z0-9-]+\.md$/)
    const text = readFileSync(new URL(name, folder), 'utf8')
    expect(text.startsWith(`# ${name.slice(0, 4)} `), name).toBe(true)
    expect(text, name).toMatch(/context/i)
    expect(text, name).toMatch(/decision/i)
  }
})

test('the frame header, the artefact, the key hash and the codec have their notes', () => {
  for (const subject of ['frame-header', 'artifact', 'key-hash', 'codec'])
    expect(
      notes.some(name => name.includes(subject)),
      subject,
    ).toBe(true)
})
