import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { inCluster } from './kube-auth.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-account-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a pod asks as its service account, with the token that its kubelet has put there last', async () => {
  writeFileSync(join(folder, 'ca.crt'), 'PEM')
  writeFileSync(join(folder, 'token'), 'first\n')
  const auth = inCluster({ KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '6443' }, folder)
  expect(auth).toMatchObject({ url: 'https://10.0.0.1:6443', ca: 'PEM' })
  expect(await auth.token()).toBe('first')
  writeFileSync(join(folder, 'token'), 'second')
  expect(await auth.token()).toBe('second')
})

test('an address of IPv6 is written as one', () => {
  expect(inCluster({ KUBERNETES_SERVICE_HOST: 'fd00::1' }, folder).url).toBe('https://[fd00::1]:443')
})

test('outside of a pod it is said what to name', () => {
  expect(() => inCluster({}, folder)).toThrow(/no pod.*--kube-url.*--token-file/)
})
