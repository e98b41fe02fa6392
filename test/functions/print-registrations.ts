import { pathToFileURL } from 'node:url'
import { collectRegistrations, createInvoker, installContract } from '../../local/host/contract.ts'
import { clientBinding } from '../../local/host/durable/http.ts'

// Loads the trigger list of the command line as the platform does; prints its registrations, and the descriptions that
// it answers.
installContract()
const registrations = await collectRegistrations(
  () => import(pathToFileURL(process.argv[2] ?? '').href),
)
const invoker = createInvoker(console.error)
const webhooks = {
  origin: 'http://127.0.0.1:1',
  hubName: 'Hub',
  systemKey: 'key',
  secret: 'secret',
}
const client = { json: clientBinding(webhooks) }

async function answerOf(name: string): Promise<unknown> {
  const registration = registrations.find((one) => one.name === name)
  if (!registration) throw new Error(`${name} is not registered`)
  const bindings = Object.entries(registration.metadata.bindings)
  const named = (type: string) => bindings.find(([, binding]) => binding.type === type)?.[0] ?? ''
  const url = `https://relay.example.net/api/${name}.json`
  const outcome = await invoker.invoke(registration, named('httpTrigger'), {
    input: { http: { method: 'GET', url, headers: {}, params: {}, query: {} } },
    extraInputs: { [named('durableClient')]: client },
  })
  if (!outcome.ok || !outcome.value) throw new Error(`${name} is not answered`)
  const { body } = outcome.value.http as { body: { bytes: Uint8Array } }
  return JSON.parse(new TextDecoder().decode(body.bytes))
}

const descriptions = { openapi: await answerOf('openapi'), swagger: await answerOf('swagger') }
console.log(
  JSON.stringify({ registered: registrations.map(({ metadata }) => metadata), descriptions }),
)
