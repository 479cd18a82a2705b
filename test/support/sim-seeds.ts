/** `SEED=n` runs only that one, `SEEDS=n` the first n; set but empty (from make) is the same as not set. */
export function simSeeds(defaultCount: number): readonly number[] {
  const { SEED, SEEDS } = process.env
  if (SEED !== undefined && SEED !== '') return [Number(SEED)]
  const count = SEEDS === undefined || SEEDS === '' ? defaultCount : Number(SEEDS)
  return Array.from({ length: count }, (_, seed) => seed)
}

/** Runs every seed; the first failure names its seed. */
export async function forSeeds(seeds: readonly number[], run: (seed: number) => Promise<void>): Promise<void> {
  for (const seed of seeds) {
    try {
      await run(seed)
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)} (repeat with make sim SEED=${seed})`, { cause: error })
    }
  }
}
