import { forcedAnswer } from '../forced-answer.ts'
import { json } from '../reply.ts'
import type { Route } from '../route.ts'

/**
 * The token endpoint for client credentials.
 * https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 */
export const token: Route = {
  method: 'POST',
  path: /^\/token$/,
  async answer(call, world) {
    const forced = forcedAnswer(world.faults.tokenStatus)
    if (forced) return forced

    const form = new URLSearchParams(await call.body())
    const clientId = form.get('client_id') ?? ''
    const audience = /^(.+)\/\.default$/.exec(form.get('scope') ?? '')?.[1]
    if (form.get('grant_type') !== 'client_credentials') {
      return refusal(
        400,
        'unsupported_grant_type',
        'AADSTS70003: The app requested an unsupported grant type.',
      )
    }
    if (!audience)
      return refusal(
        400,
        'invalid_scope',
        'AADSTS1002012: The provided value for scope is not valid.',
      )
    const { options } = world.tokens
    const known = options.clientId === undefined || options.clientId === clientId
    if (!clientId || !known) {
      return refusal(
        400,
        'unauthorized_client',
        'AADSTS700016: Application was not found in the directory.',
      )
    }
    const secret = form.get('client_secret')
    if (!secret || (options.clientSecret !== undefined && options.clientSecret !== secret)) {
      return refusal(401, 'invalid_client', 'AADSTS7000215: Invalid client secret provided.')
    }
    const { token, expiresInSeconds } = world.tokens.issue(clientId, audience)
    return json(200, {
      token_type: 'Bearer',
      expires_in: expiresInSeconds,
      ext_expires_in: expiresInSeconds,
      access_token: token,
    })
  },
}

const refusal = (status: number, error: string, text: string) =>
  json(status, { error, error_description: text })
