/** What was asked for did not come about; the message is for the person who asked. */
export class RelayError extends Error {
  /** The answer that told so, where it is JSON. */
  readonly json: string | undefined

  constructor(message: string, json?: string) {
    super(message)
    this.name = 'RelayError'
    this.json = json
  }
}

/** The command line can't be understood; the message says what is wrong and where to read on. */
export class UsageError extends Error {
  constructor(message: string, hint = 'npm run relay -- --help') {
    super(`${message}\nSee: ${hint}`)
    this.name = 'UsageError'
  }
}
