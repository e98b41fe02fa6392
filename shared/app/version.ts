/** The version of the app, as package.json has it. */
export const VERSION = '0.1.0'

/** How the app calls itself to the services it asks. */
export const USER_AGENT = `defender-relay/${VERSION}`
