/** The conditions of a device in words; lists and bars name them the same. */
export const conditions: Record<string, string> = {
  'signature-stale': 'Signatures are stale',
  'engine-stale': 'Engine is stale',
  'platform-stale': 'Platform is stale',
  passive: 'Antivirus is passive',
  disabled: 'Antivirus is disabled',
  'edr-block': 'EDR in block mode',
  'quick-scan-failing': 'Quick scan fails',
  'full-scan-failing': 'Full scan fails',
  'scan-overdue': 'Scan is overdue',
  'not-seen': 'Not seen lately',
  'unknown-mode': 'Mode is unknown',
}

export const modes: Record<string, string> = {
  active: 'Active',
  passive: 'Passive',
  'passive-audit': 'Passive audit',
  'edr-block-mode': 'EDR block mode',
  disabled: 'Disabled',
  other: 'Other',
}
