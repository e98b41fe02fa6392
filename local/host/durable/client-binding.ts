/** Where the durable surface of a host is. */
export interface Webhooks {
  /** `http://127.0.0.1:<port>` */
  origin: string
  hubName: string
  /** Opens the surface as `?code=`, for the links that a client hands out. */
  systemKey: string
  /** Opens the surface as a part of the path, for the client itself: it drops the query. */
  secret: string
}

/** The path under which the durable surface is served. */
export const WEBHOOK_PATH = '/runtime/webhooks/durabletask'

const ID = 'INSTANCEID'

/** What the durable client binding hands to a function. */
export function clientBinding({ origin, hubName, systemKey, secret }: Webhooks): string {
  const base = `${origin}${WEBHOOK_PATH}`
  const query = `taskHub=${hubName}&connection=Storage&code=${systemKey}`
  const instance = (operation: string) => `${base}/instances/${ID}${operation}${query}`
  const creation = `${base}/orchestrators/{functionName}[/{instanceId}]`
  return JSON.stringify({
    taskHubName: hubName,
    creationUrls: {
      createNewInstancePostUri: `${creation}?code=${systemKey}`,
      createAndWaitOnNewInstancePostUri: `${creation}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}&code=${systemKey}`,
    },
    managementUrls: managementUrls(ID, instance),
    baseUrl: base,
    requiredQueryStringParameters: `code=${systemKey}`,
    rpcBaseUrl: `${base}/${secret}/`,
  })
}

function managementUrls(
  id: string,
  instance: (operation: string) => string,
): Record<string, string> {
  return {
    id,
    statusQueryGetUri: instance('?'),
    sendEventPostUri: instance('/raiseEvent/{eventName}?'),
    terminatePostUri: instance('/terminate?reason={text}&'),
    rewindPostUri: instance('/rewind?reason={text}&'),
    purgeHistoryDeleteUri: instance('?'),
    restartPostUri: instance('/restart?'),
    suspendPostUri: instance('/suspend?reason={text}&'),
    resumePostUri: instance('/resume?reason={text}&'),
  }
}
