import { hexText } from '../random.ts'
import type { World } from '../world.ts'
import type { ScanDefinition } from './defender-scan.ts'

/** A definition as the list has it, with its newest session and its scanner. */
export function spellDefinition(
  definition: ScanDefinition,
  { scans, tokens }: World,
): Record<string, unknown> {
  const sessions = scans.sessions.all().filter(({ definitionId }) => definitionId === definition.id)
  const newest = sessions.sort((a, b) => b.lastScanned.localeCompare(a.lastScanned))[0]
  const orgId = tokens.options.tenantId
  const machineId = hexText(40, 1, 59)
  return {
    ...definition,
    orgId,
    createdBy: 'scans@contoso.example',
    latestScan: newest
      ? {
          status: newest.status === 'Failure' ? 'Fail' : 'Success',
          failureReason: newest.generalError,
          executionDateTime: newest.lastScanned,
        }
      : null,
    scannerAgent: {
      id: `${orgId}_${machineId}`,
      machineId,
      machineName: 'scanner.contoso.example',
      lastSeen: newest?.lastScanned ?? null,
      // The samples do not agree on how this one is written.
      AssignedApplicationId: '4c1e5b2a-9d0f-4a77-8e11-3b6c0d5f7a90',
      scannerSoftwareVersion: '7.1.1.0',
      lastCommandExecutionTimestamp: newest?.lastScanned ?? null,
      mdeClientVersion: '10.8295.22621.1019',
    },
  }
}
