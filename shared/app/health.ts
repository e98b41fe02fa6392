import { z } from 'zod'
import { defineRoute } from '../platform/route.ts'
import type { StatusParts } from './status.ts'

const route = defineRoute<Pick<StatusParts, 'app'>>()
const healthSchema = z.strictObject({ status: z.enum(['ok', 'unconfigured']) })

/** Whether the app can do anything at all; no detail and no I/O, since anybody may ask. */
export const health = route({
  name: 'health',
  method: 'GET',
  path: 'health',
  auth: 'anonymous',
  summary: 'Whether the app is up',
  answers: {
    200: { description: 'At least one section is usable.', body: healthSchema },
    503: { description: 'No section is set up.', body: healthSchema },
  },
  async handle(_input, { app }) {
    const usable = app.isConfigured()
    return { status: usable ? 200 : 503, body: { status: usable ? 'ok' : 'unconfigured' } }
  },
})
