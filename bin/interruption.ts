/** Aborted by the first SIGINT or SIGTERM, so that what runs can end in order. */
export function interruptedBySignals(): AbortController {
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // Whoever asks twice does not want to wait.
      if (interruption.signal.aborted) process.exit(130)
      interruption.abort(new Error(signal))
    })
  }
  return interruption
}
