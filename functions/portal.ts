import { app } from '@azure/functions'
import { answerPortal } from '../shared/app/portal.ts'

app.http('portal', {
  methods: ['GET', 'HEAD'],
  route: 'portal/{*path}',
  authLevel: 'anonymous',
  handler: answerPortal,
})
