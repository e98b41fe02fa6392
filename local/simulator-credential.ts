import type { TokenCredential } from '@azure/identity'
import type { Clock } from '../shared/platform/clock.ts'

/** Signs in at the token endpoint of a simulator: `POST /token` with a client-credentials form. */
export function createSimulatorCredential(origin: string, clock: Clock): TokenCredential {
  return {
    async getToken(scopes) {
      const scope = Array.isArray(scopes) ? scopes.join(' ') : scopes
      const form = { grant_type: 'client_credentials', client_id: 'local', client_secret: 'local', scope }
      const response = await fetch(`${origin}/token`, { method: 'POST', body: new URLSearchParams(form) })
      if (!response.ok) throw new Error(`the simulator's token endpoint answered ${response.status}`)
      const { access_token: token, expires_in: seconds } = (await response.json()) as Record<string, unknown>
      return { token: String(token), expiresOnTimestamp: clock.now().getTime() + Number(seconds) * 1000 }
    },
  }
}
