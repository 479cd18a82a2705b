import { expect, test } from 'vitest'
import { jobStatuses } from '../rpc/job-manager-gateway.ts'
import { isTerminalStatus, mayEnter } from './job-status.ts'

test('ended jobs stay ended', () => {
  for (const from of ['FAILED', 'CANCELED', 'FINISHED'] as const) {
    expect(isTerminalStatus(from)).toBe(true)
    for (const to of jobStatuses) expect(mayEnter(from, to)).toBe(false)
  }
})

test('a job ends only by the way that leads there', () => {
  const into = (to: (typeof jobStatuses)[number]) => jobStatuses.filter(from => mayEnter(from, to))
  expect(into('FINISHED')).toEqual(['RUNNING'])
  expect(into('FAILED')).toEqual(['INITIALIZING', 'FAILING'])
  expect(into('CANCELED')).toEqual(['INITIALIZING', 'CANCELLING'])
  // A failing job can still be cancelled; a job that is being cancelled ends CANCELED whatever else goes wrong.
  expect(into('CANCELLING').sort()).toEqual(['CREATED', 'FAILING', 'RESTARTING', 'RUNNING'])
  expect(into('FAILING').sort()).toEqual(['CREATED', 'RESTARTING', 'RUNNING'])
  expect(into('RESTARTING')).toEqual(['RUNNING'])
  expect(into('RUNNING').sort()).toEqual(['CREATED', 'RESTARTING'])
  // What fails or is being cancelled ends that way here; nobody else needs to go on with it.
  expect(into('SUSPENDED').sort()).toEqual(['CREATED', 'INITIALIZING', 'RESTARTING', 'RUNNING'])
})

test('no state that Millrace does not build is ever entered', () => {
  for (const from of jobStatuses) expect(mayEnter(from, 'RECONCILING')).toBe(false)
})
