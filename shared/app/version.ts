/** The version of the app, as package.json has it. */
export const VERSION = '0.1.0'

/** How the app calls itself to the services it asks. */
export const USER_AGENT = `defender-relay/${VERSION}`

/** The form that Tenable asks of integrations. https://developer.tenable.com/docs/user-agent-header */
export const INTEGRATION_USER_AGENT = `Integration/1.0 (defender-relay; scan-history; Build/${VERSION}) ${USER_AGENT}`
