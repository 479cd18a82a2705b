import { cliOptions } from '../runtime/cli/options.ts'
import { systemClock } from '../runtime/common/clock.ts'
import type { Configuration } from '../runtime/common/config.ts'
import { createRestClient } from '../runtime/rest/client.ts'
import { restOptions } from '../runtime/rest/options.ts'
import type { RestClient } from '../runtime/rest/types.ts'

export function restOf(address: string, token: string | undefined, configuration: Configuration): RestClient {
  return createRestClient({
    address,
    token,
    requestTimeoutMs: configuration.get(cliOptions.timeout),
    attemptsMax: configuration.get(restOptions.retryMaxAttempts),
    retryDelayMs: configuration.get(restOptions.retryDelay),
    clock: systemClock,
  })
}
