import type { TokenCredential } from '@azure/identity'
import { z } from 'zod'
import type { Clock } from '../shared/platform/time.ts'

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  expires_in: z.coerce.number().positive(),
})
const LONGEST_WAIT_MS = 30_000

/** Signs in at the token endpoint of a simulator: `POST /token` with a client-credentials form. */
export function createSimulatorCredential(origin: string, clock: Clock): TokenCredential {
  return {
    async getToken(scopes) {
      const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes
      const form = {
        grant_type: 'client_credentials',
        client_id: 'local',
        client_secret: 'local',
        scope,
      }
      const response = await fetch(`${origin}/token`, {
        method: 'POST',
        body: new URLSearchParams(form),
        signal: AbortSignal.timeout(LONGEST_WAIT_MS),
      })
      if (!response.ok)
        throw new Error(`the simulator's token endpoint answered ${response.status}`)
      const { access_token: token, expires_in: seconds } = tokenAnswer.parse(await response.json())
      return { token, expiresOnTimestamp: clock.now().getTime() + seconds * 1000 }
    },
  }
}
