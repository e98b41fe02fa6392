import type { Swagger, SwaggerOperation } from './swagger.ts'

/** The page `readme.md` of the connector, with the sections that Microsoft asks for. */
export function describeConnector({ paths }: Swagger): string {
  const operations = Object.values(paths)
    .flatMap((path) => Object.values(path))
    .filter((one) => one.operationId && one['x-ms-visibility'] !== 'internal')
  const list = (wanted: (one: SwaggerOperation) => boolean) =>
    operations
      .filter(wanted)
      .map(({ summary, description }) => `- **${summary}**: ${description}`)
      .join('\n')
  const isFirst = (one: SwaggerOperation) => one['x-ms-visibility'] === 'important'
  return `# Defender Relay

For those who call the app from Logic Apps or Power Automate.

<!-- Made by \`npm run describe\`. Text: local/tools/describe/connector-page.ts -->

What happens on devices in Microsoft Defender for Endpoint, as triggers and actions: machine actions, automated
investigations, antivirus health, and scans of Defender and Tenable.

## Publisher

The team that deploys the app. The connector belongs to one installation: it calls the host that is in its definition.

## Prerequisites

- The app, deployed: [docs/deploy.md](../../docs/deploy.md).
- A function key of the app.
- Its host can be reached from Logic Apps.

## Supported Operations

The designer shows these first:

${list(isFirst)}

And these behind them:

${list((one) => !isFirst(one))}

## Obtaining Credentials

\`az functionapp keys list --resource-group <group> --name <app> --query functionKeys\` shows the keys. Give each
connection a key of its own: [SECURITY.md](../../SECURITY.md#who-trusts-whom).

## Known Issues and Limitations

- A list has at most 1,000 entries a page. The answer has \`next\`, which is "Continue After" of the next page:
  [an Until loop](../../docs/logic-apps.md#lists-in-a-workflow) reads all. There is no automatic paging: the designer would
  ask for the next page without the key.
- Deliveries are at least once, in any order: drop an event id that you have, and compare the sequence numbers.
- A trigger has one kind of event, so that its fields are known. For another kind make another workflow.
- The polling trigger ends 180 days after the workflow was saved; the webhook trigger has no such end.

## Deployment Instructions

\`\`\`sh
az deployment group create --resource-group <group> --template-file logic-apps/connector/main.bicep --parameters host=<app>.azurewebsites.net
\`\`\`

Or in the portal: *Logic Apps Custom Connector*, *Edit*, and import \`https://<app>/api/swagger.json\`. That address answers
this definition with the host of the app put in. For Power Automate, put the host into \`apiDefinition.swagger.json\` and use
\`paconn create --api-def apiDefinition.swagger.json --api-prop apiProperties.json --icon icon.png\`.
`
}
