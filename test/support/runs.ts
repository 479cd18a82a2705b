/**
 * How often a property is tried: `full` times in `make test`, a fifth of it in `make check` and when a file is run alone, five times it in `make soak`.
 * What decides is `SEEDS`, as for simulations.
 */
export function runs(full: number): number {
  const seeds = Number(process.env['SEEDS'] || 300)
  if (seeds >= 10_000) return full * 5
  return seeds >= 2_000 ? full : Math.ceil(full / 5)
}
