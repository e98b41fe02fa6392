import { app } from '@azure/functions'
import * as df from 'durable-functions'
import { answerMcp } from '../shared/app/mcp.ts'

app.http('mcp', {
  methods: ['POST', 'GET', 'DELETE'],
  route: 'mcp',
  authLevel: 'function',
  extraInputs: [df.input.durableClient()],
  handler: (request, context) => answerMcp(request, context, df.getClient(context)),
})
