import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What is there now and was not `before`: what a node has left. Less than before is no fault: what a killed one has left is removed by the next. */
export function tracesSince(before: readonly string[]): readonly string[] {
  return nodeTraces().filter(trace => !before.includes(trace))
}

/** What nodes for tests have on this machine: processes, mounts, links, cgroups, folders, network namespaces. */
export function nodeTraces(): readonly string[] {
  const list = (command: string, ...args: readonly string[]) => execFileSync(command, args, { encoding: 'utf8' }).split('\n')
  // What has ended and was not looked at by its parent is no process any more.
  const alive = list('ps', '-eo', 'stat=,comm=,pid=').flatMap(line => (line.startsWith('Z') ? [] : [line.replace(/^\S+\s+/, '')]))
  const processes = alive.filter(name => /^(containerd|runc|kube|etcd|coredns|pause|versitygw)/.test(name))
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter(line => line.includes('millrace-node'))
  const links = list('ip', '-o', 'link').filter(line => / mr[hn]\d/.test(line))
  const cgroups = readdirSync('/sys/fs/cgroup', { withFileTypes: true }).flatMap(entry =>
    entry.isDirectory() ? readdirSync(join('/sys/fs/cgroup', entry.name)).filter(group => group.startsWith('millrace-')) : [],
  )
  const folders = readdirSync(tmpdir()).filter(name => name.startsWith('millrace-node-'))
  const namespaces = existsSync('/var/run/netns') ? readdirSync('/var/run/netns') : []
  return [...processes, ...mounts, ...links, ...cgroups, ...folders, ...namespaces].sort()
}
