import { app } from '@azure/functions'
import * as df from 'durable-functions'
import { httpRoutes } from '../shared/app/http.ts'

for (const { name, method, path, auth, answer } of httpRoutes) {
  app.http(name, {
    methods: [method],
    route: path,
    authLevel: auth,
    extraInputs: [df.input.durableClient()],
    handler: (request, context) => answer(request, context, df.getClient(context)),
  })
}
