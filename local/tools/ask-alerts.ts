import { execFileSync } from 'node:child_process'
import { createInterface } from 'node:readline/promises'
import { findProgram } from './bicep/find-compiler.ts'

// Asks who gets the alerts, before azd provisions for the first time; azd runs it with the values of its environment.
const { RELAY_ALERT_EMAIL, RELAY_ACTION_GROUP_ID } = process.env
const later = 'Alerts notify nobody until you set it: azd env set RELAY_ALERT_EMAIL <address>'

if (!RELAY_ALERT_EMAIL && !RELAY_ACTION_GROUP_ID) {
  const address = process.stdin.isTTY ? await ask() : ''
  if (address) {
    const azd = findProgram('azd') ?? 'azd'
    const shell = azd.endsWith('.cmd')
    execFileSync(azd, ['env', 'set', 'RELAY_ALERT_EMAIL', address], { stdio: 'inherit', shell })
  }
  if (!address || address === 'none') process.stderr.write(`${later}\n`)
}

async function ask(): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    for (;;) {
      const answer = (
        await terminal.question('Address for alerts (none: nobody is notified): ')
      ).trim()
      if (answer === '' || answer === 'none') return 'none'
      // The address is an argument of a command, so only what an address needs.
      if (/^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$/.test(answer)) return answer
      process.stderr.write('This is not an address such as soc@contoso.com.\n')
    }
  } finally {
    terminal.close()
  }
}
