import { type Instant, tickText } from '../moment.ts'
import { documented, type Item, type ItemKind, undocumented } from './item.ts'

export const actionStatuses = [
  'Pending',
  'Cancelled',
  'TimeOut',
  'Failed',
  'InProgress',
  'Succeeded',
] as const

/** The types that the pages name. */
export const usualActionTypes = [
  'RunAntiVirusScan',
  'Offboard',
  'LiveResponse',
  'CollectInvestigationPackage',
  'Isolate',
  'Unisolate',
  'StopAndQuarantineFile',
  'RestrictCodeExecution',
  'UnrestrictCodeExecution',
] as const

/** The types that only `$metadata` names. */
export const rareActionTypes = [
  'Unknown',
  'RequestSample',
  'Block',
  'RegenerateId',
  'Troubleshoot',
  'LogsCollection',
  'TokenRefresh',
  'EndpointConfigManagementCheckin',
  'EnableActiveDirectoryUser',
  'DisableActiveDirectoryUser',
  'ResetPasswordActiveDirectoryUser',
  'ImmuneActiveDirectoryCustomPlaybook',
] as const

export const requestSources = [
  'Unspecified',
  'PublicApi',
  'Portal',
  'MCAS',
  'TVM',
  'CustomDetection',
  'BulkAction',
  'ISG',
  'NDR',
  'EndpointConfigManagement',
  'IncidentTasks',
  'MDI',
  'ActiveScan',
] as const

/** The error code of an ended action: HTTP 408 and abort as HRESULT; access denied for any failure. */
export const errorOf: Record<string, number> = {
  TimeOut: -2145844840,
  Cancelled: -2147467260,
  Failed: -2147024891,
  Succeeded: 0,
}

/** Machine actions. https://learn.microsoft.com/en-us/defender-endpoint/api/machineaction */
export const machineAction: ItemKind = {
  list: 'machineactions',
  entitySet: 'MachineActions',
  entityType: 'microsoft.windowsDefenderATP.api.MachineAction',
  roles: ['Machine.Read.All', 'Machine.ReadWrite.All'],
  stateField: 'status',
  createdField: 'creationDateTimeUtc',
  updatedField: 'lastUpdateDateTimeUtc',
  aliasField: null,
  fields: {
    id: documented('text'),
    status: documented(actionStatuses),
    machineId: documented('text'),
    type: documented([...usualActionTypes, ...rareActionTypes]),
    requestor: documented('text'),
    creationDateTimeUtc: documented('time'),
    lastUpdateDateTimeUtc: undocumented('time'),
    cancellationDateTimeUtc: undocumented('time'),
    cancellationRequestor: undocumented('text'),
    cancellationComment: undocumented('text'),
    requestorComment: undocumented('text'),
    computerDnsName: undocumented('text'),
    scope: undocumented('text'),
    title: undocumented('text'),
    externalId: undocumented('text'),
    errorHResult: undocumented('number'),
    requestSource: undocumented(requestSources),
  },
  create(given, at) {
    const blank = {
      id: given.id,
      type: 'RunAntiVirusScan',
      title: null,
      requestor: 'analyst@contoso.example',
      requestorComment: null,
      status: 'Pending',
      machineId: '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d',
      computerDnsName: 'lon-ws-000001',
      creationDateTimeUtc: tickText(at),
      lastUpdateDateTimeUtc: tickText(at),
      cancellationRequestor: null,
      cancellationComment: null,
      cancellationDateTimeUtc: null,
      errorHResult: 0,
      scope: null,
      relatedFileInfo: null,
      commands: [],
      troubleshootInfo: null,
      externalId: null,
      requestSource: 'Portal',
    }
    return { ...blank, ...ending(given, at), ...given }
  },
  change(before, patch, at) {
    const isNew = patch.status !== undefined && patch.status !== before.status
    return {
      ...before,
      lastUpdateDateTimeUtc: tickText(at),
      ...(isNew && ending(patch, at)),
      ...patch,
      id: before.id,
    }
  },
}

/** The fields of an ended action besides its status. */
function ending({ status }: Partial<Item>, at: Instant): Record<string, unknown> {
  const error = errorOf[String(status)]
  if (status !== 'Cancelled') return error === undefined ? {} : { errorHResult: error }
  return {
    errorHResult: error,
    cancellationRequestor: 'analyst@contoso.example',
    cancellationComment: 'not needed any more',
    cancellationDateTimeUtc: tickText(at),
    // The service writes the row one tick after the time of the cancellation.
    lastUpdateDateTimeUtc: tickText({ ms: at.ms, ticks: at.ticks + 1 }),
  }
}
