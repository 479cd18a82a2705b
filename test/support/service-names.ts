import dns from 'node:dns'

/**
 * Loaded into a process before its program (`--import`): there is no DNS of a cluster here, and names of services, `<name>.<namespace>.svc`, lead to the loopback address that
 * MILLRACE_TEST_SERVICES names.
 */
const address = process.env['MILLRACE_TEST_SERVICES'] ?? ''
const { lookup } = dns

type Lookup = (name: string, options: dns.LookupOptions, done: (error: Error | null, found: unknown, family?: number) => void) => void

const stubbed: Lookup = (name, options, done) => {
  if (!name.endsWith('.svc')) return void (lookup as Lookup)(name, options, done)
  if (options.all === true) done(null, [{ address, family: 4 }])
  else done(null, address, 4)
}
// The many signatures of the original; clients of HTTP use this one.
dns.lookup = stubbed as typeof dns.lookup
