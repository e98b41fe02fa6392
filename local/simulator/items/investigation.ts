import { momentAt, utcText } from '../moment.ts'
import { documented, type ItemKind, undocumented } from './item-kind.ts'

export const openInvestigationStates = [
  'Unknown',
  'Running',
  'PendingApproval',
  'PendingResource',
  'Queued',
] as const

export const endedInvestigationStates = [
  'Terminated',
  'SuccessfullyRemediated',
  'Benign',
  'Failed',
  'PartiallyRemediated',
  'Disabled',
  'InnerFailure',
  'PreexistingAlert',
  'UnsupportedOs',
  'UnsupportedAlertType',
  'SuppressedAlert',
  'PartiallyInvestigated',
  'TerminatedByUser',
  'TerminatedBySystem',
] as const

const ended: readonly unknown[] = endedInvestigationStates

/** Automated investigations. https://learn.microsoft.com/en-us/defender-endpoint/api/investigation */
export const investigation: ItemKind = {
  list: 'investigations',
  entitySet: 'Investigations',
  entityType: 'microsoft.windowsDefenderATP.api.Investigation',
  roles: ['Alert.Read.All', 'Alert.ReadWrite.All'],
  stateField: 'state',
  createdField: 'startTime',
  updatedField: null,
  aliasField: 'triggeringAlertId',
  fields: {
    id: documented('text'),
    startTime: documented('time'),
    state: documented([...openInvestigationStates, ...endedInvestigationStates]),
    machineId: documented('text'),
    triggeringAlertId: documented('text'),
    endTime: undocumented('time'),
    cancelledBy: undocumented('text'),
    statusDetails: undocumented('text'),
    computerDnsName: undocumented('text'),
  },
  create(given, at) {
    const state = given.state ?? 'Running'
    const time = utcText(momentAt(at.ms))
    const blank = {
      id: given.id,
      startTime: state === 'Queued' ? null : time,
      endTime: ended.includes(state) ? time : null,
      state,
      cancelledBy: null,
      statusDetails: null,
      machineId: '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d',
      computerDnsName: 'lon-ws-000001',
      triggeringAlertId: `da${given.id}_1`,
    }
    return { ...blank, ...given }
  },
  change(before, patch, at) {
    const { state } = patch
    const time = utcText(momentAt(at.ms))
    const along =
      state === undefined || state === before.state
        ? {}
        : {
            startTime: before.startTime ?? (state === 'Queued' ? null : time),
            endTime: ended.includes(state) ? time : null,
          }
    return { ...before, ...along, ...patch, id: before.id }
  },
}
