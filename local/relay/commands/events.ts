import type { Columns } from '../blocks.ts'
import type { Command } from '../command.ts'
import { RelayError } from '../errors.ts'
import { pick, pickList, pickText } from '../pick.ts'

/** How events are shown: what happened to whom, old → new state. */
export const eventColumns: Columns = {
  detected: 'detectedat',
  event: (row) => pickText(row, 'type').replace(/^defender-relay\./, ''),
  item: 'subject',
  step(row) {
    const [from, to] = [pick(row, 'data.from'), pick(row, 'data.to')]
    return from || to ? `${from ?? '·'} → ${to ?? '·'}` : null
  },
  type: 'data.type',
  device: 'data.computerDnsName',
  requestor: 'data.requestor',
}

/** What was seen to change. */
export const eventCommands: readonly Command[] = [
  {
    usage: 'events list',
    summary: 'Every change that was seen, oldest first',
    options: ['stream', 'type', 'machine', 'item', 'since', 'follow'],
    list: 'events',
    async ask({ options: { stream, type, machine, item, since, after, follow }, ask }) {
      const query = { stream, type, machineId: machine, itemId: item }
      if (!follow || since !== undefined || after !== undefined)
        return { path: 'events', query: { ...query, since } }
      const { location } = await ask({ path: 'events/trigger', query })
      const now = location === null ? null : URL.parse(location)?.searchParams.get('after')
      if (!now) throw new RelayError('The app did not say where its events end.')
      return { path: 'events', query: { ...query, after: now } }
    },
    show: (body) => [{ rows: pickList(body, 'events'), columns: eventColumns }],
  },
]
