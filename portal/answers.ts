// Made by `npm run describe` from the schemas of the routes.

export type Problem = {
  type: string
  title: string
  status: number
  detail: string
  instance: string
  correlation: string
  fix?: string
  errors?: { path: string; message: string }[]
  item?: object
}

export type StatusProblem = {
  code:
    | 'setting-wrong'
    | 'storage-unreachable'
    | 'no-identity'
    | 'forbidden'
    | 'unreachable'
    | 'incompatible'
    | 'route-gone'
    | 'route-not-found'
    | 'route-ending'
    | 'throttled'
    | 'polls-stopped'
    | 'poll-failed'
    | 'poll-gap'
    | 'not-polled-yet'
    | 'items-missing'
    | 'unknown-states'
    | 'rows-rejected'
    | 'rows-unreadable'
    | 'runs-stopped'
    | 'run-failed'
    | 'run-waiting'
    | 'snapshot-old'
    | 'changes-unknown'
    | 'parquet-missing'
    | 'fields-unreadable'
    | 'export-by-pages'
    | 'deliveries-late'
    | 'dead-letters'
    | 'secret-missing'
    | 'subscription-failing'
    | 'subscription-disabled'
    | 'subscription-retrying'
    | 'subscription-paused'
  severity: 'error' | 'warning' | 'notice'
  title: string
  since: string | null
  cause: string
  fix: string
  consequences: string[]
}

export type UpstreamReport = {
  state:
    | 'ok'
    | 'no-identity'
    | 'forbidden'
    | 'gone'
    | 'throttled'
    | 'incompatible'
    | 'unreachable'
    | 'unknown'
  lastOkAt: string | null
  lastError: {
    at: string
    since: string | null
    status: number | null
    title: string
    missing: string[]
  } | null
}

export type ChangesReport = {
  baselineDone: boolean
  lastPoll: {
    startedAt: string
    endedAt: string
    error: string | null
    listed: number | null
    rechecked: number | null
    events: number | null
    unreadable: number | null
    outside: number | null
    badTimes: number | null
    missing: number | null
  } | null
  lastFailure: { startedAt: string; endedAt: string; error: string } | null
  lastGoodPollAt: string | null
  gap: { since: string; until: string } | null
  nextPollAt: string | null
  openItems: number | null
  oldestOpen: { id: string; since: string } | null
  unknownStates: Record<string, number>
  detectionLagSeconds: number | null
}

export type StreamReport = { head: number; oldest: number; dispatched: number; lagSeconds: number }

export type ExportsReport = {
  current: {
    runId: string
    generatedTime: string | null
    devices: number
    ageSeconds: number
    changes: 'known' | 'baseline' | 'unknown'
    changesReason: string | null
  } | null
  lastRun: {
    runId: string
    state:
      | 'starting'
      | 'listing'
      | 'importing'
      | 'comparing'
      | 'published'
      | 'unchanged'
      | 'empty'
      | 'failed'
    reason: string | null
    startedAt: string
    progressAt: string
    waiting: { for: string; until: string } | null
    endedAt: string | null
    unreadable: Record<string, number>
    guard: 'rejected' | 'unreadable' | 'devices' | null
    devicesBefore: number | null
    devices: number
    rejected: number
  } | null
  skippedRows: string[]
  nextRunAt: string | null
}

export type Item = {
  id: string
  resource: 'machine-actions' | 'investigations'
  version: number
  state: string
  terminal: boolean
  openSince: string | null
  lastCheckedAt: string | null
  reason: 'notFound' | 'untracked' | null
  machineId: string | null
  computerDnsName: string | null
  type?: string | null
  requestor?: string | null
  requestorComment?: string | null
  scope?: string | null
  requestSource?: string | null
  errorHResult?: number | null
  relatedFileInfo?: { fileIdentifier?: string | null; fileIdentifierType?: string | null } | null
  commands?:
    | { index: number | null; type: string | null; status: string | null; error: string | null }[]
    | null
  createdAt?: string | null
  updatedAt?: string | null
  triggeringAlertId?: string | null
  statusDetails?: string | null
  cancelledBy?: string | null
  startedAt?: string | null
  endedAt?: string | null
  item: object | null
  fieldsCut?: string[]
}

export type CloudEvent =
  | MachineActionEvent
  | InvestigationEvent
  | DeviceEvent
  | ChangesSummarizedEvent
  | SnapshotPublishedEvent
  | SubscriptionEvent
  | GapEvent
  | TestEvent

export type MachineActionEvent = {
  specversion: '1.0'
  id: string
  source: string
  type:
    | 'defender-relay.machine-action.appeared'
    | 'defender-relay.machine-action.changed'
    | 'defender-relay.machine-action.overdue'
    | 'defender-relay.machine-action.gone'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    id: string
    resource: string
    version: number
    from: string | null
    to: string | null
    terminal: boolean
    reason: 'notFound' | 'untracked' | null
    machineId: string | null
    computerDnsName: string | null
    openSince?: string
    limitHours?: number
    item: object | null
    itemOmitted?: true
    fieldsCut?: string[]
    type: string | null
    requestor: string | null
    requestorComment: string | null
    scope: string | null
    requestSource: string | null
    errorHResult: number | null
    relatedFileInfo: { fileIdentifier?: string | null; fileIdentifierType?: string | null } | null
    commands:
      | { index: number | null; type: string | null; status: string | null; error: string | null }[]
      | null
    createdAt: string | null
    updatedAt: string | null
  }
}

export type InvestigationEvent = {
  specversion: '1.0'
  id: string
  source: string
  type:
    | 'defender-relay.investigation.appeared'
    | 'defender-relay.investigation.changed'
    | 'defender-relay.investigation.overdue'
    | 'defender-relay.investigation.gone'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    id: string
    resource: string
    version: number
    from: string | null
    to: string | null
    terminal: boolean
    reason: 'notFound' | 'untracked' | null
    machineId: string | null
    computerDnsName: string | null
    openSince?: string
    limitHours?: number
    item: object | null
    itemOmitted?: true
    fieldsCut?: string[]
    triggeringAlertId: string | null
    statusDetails: string | null
    cancelledBy: string | null
    startedAt: string | null
    endedAt: string | null
  }
}

export type DeviceEvent = {
  specversion: '1.0'
  id: string
  source: string
  type:
    | 'defender-relay.av-health.device.appeared'
    | 'defender-relay.av-health.device.disappeared'
    | 'defender-relay.av-health.device.returned'
    | 'defender-relay.av-health.device.mode-changed'
    | 'defender-relay.av-health.device.signature-stale'
    | 'defender-relay.av-health.device.signature-fresh'
    | 'defender-relay.av-health.device.engine-stale'
    | 'defender-relay.av-health.device.engine-fresh'
    | 'defender-relay.av-health.device.platform-stale'
    | 'defender-relay.av-health.device.platform-fresh'
    | 'defender-relay.av-health.device.quick-scan-failing'
    | 'defender-relay.av-health.device.quick-scan-recovered'
    | 'defender-relay.av-health.device.full-scan-failing'
    | 'defender-relay.av-health.device.full-scan-recovered'
    | 'defender-relay.av-health.device.scan-overdue'
    | 'defender-relay.av-health.device.scan-done'
    | 'defender-relay.av-health.device.not-seen'
    | 'defender-relay.av-health.device.seen-again'
    | 'defender-relay.av-health.device.renamed'
    | 'defender-relay.av-health.device.group-moved'
    | 'defender-relay.av-health.device.os-changed'
    | 'defender-relay.av-health.device.became-unknown'
    | 'defender-relay.av-health.device.became-known'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    machineId: string
    computerDnsName: string | null
    kind:
      | 'appeared'
      | 'disappeared'
      | 'returned'
      | 'mode-changed'
      | 'signature-stale'
      | 'signature-fresh'
      | 'engine-stale'
      | 'engine-fresh'
      | 'platform-stale'
      | 'platform-fresh'
      | 'quick-scan-failing'
      | 'quick-scan-recovered'
      | 'full-scan-failing'
      | 'full-scan-recovered'
      | 'scan-overdue'
      | 'scan-done'
      | 'not-seen'
      | 'seen-again'
      | 'renamed'
      | 'group-moved'
      | 'os-changed'
      | 'became-unknown'
      | 'became-known'
    from: {
      mode?: string | null
      signature?: string | null
      engine?: string | null
      platform?: string | null
      quickScan?: string | null
      fullScan?: string | null
      scans?: string | null
      seen?: string | null
      name?: string | null
      group?: string | null
      groupName?: string | null
      os?: string | null
      osVersion?: string | null
    }
    to: {
      mode?: string | null
      signature?: string | null
      engine?: string | null
      platform?: string | null
      quickScan?: string | null
      fullScan?: string | null
      scans?: string | null
      seen?: string | null
      name?: string | null
      group?: string | null
      groupName?: string | null
      os?: string | null
      osVersion?: string | null
    }
    runId: string
    previousRunId: string | null
    generatedTime: string | null
  }
}

export type ChangesSummarizedEvent = {
  specversion: '1.0'
  id: string
  source: string
  type: 'defender-relay.av-health.changes.summarized'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    runId: string
    previousRunId: string | null
    newMethod: boolean
    counts: Record<string, number>
  }
}

export type SnapshotPublishedEvent = {
  specversion: '1.0'
  id: string
  source: string
  type: 'defender-relay.av-health.snapshot.published'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    runId: string
    generatedTime: string | null
    method: 'files' | 'json' | null
    devices: number
    devicesBefore: number | null
    unreadable: Record<string, number>
    counts: {
      listed: number
      imported: number
      failed: number
      parsed: number
      written: number
      duplicates: number
      rejected: number
    }
    changes: {
      state: 'known' | 'baseline' | 'unknown'
      reason: string | null
      previousRunId: string | null
      counts: Record<string, number>
      countedOnly: string[]
      newThresholds: boolean
      newMethod: boolean
    } | null
  }
}

export type SubscriptionEvent = {
  specversion: '1.0'
  id: string
  source: string
  type:
    | 'defender-relay.subscription.failing'
    | 'defender-relay.subscription.disabled'
    | 'defender-relay.subscription.recovered'
    | 'defender-relay.subscription.expired'
    | 'defender-relay.subscription.deadLettered'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: {
    subscription: string
    callbackHost: string
    state?: 'active' | 'failing' | 'disabled'
    since?: string | null
    at?: string
    status?: number | null
    reason?: string
    disabledReason?: string | null
    until?: string
    count?: number
    expiresAt?: string
    pending?: number
    dead?: number
  }
}

export type GapEvent = {
  specversion: '1.0'
  id: string
  source: string
  type: 'defender-relay.gap'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: { stream: string; fromSeq: number; oldestSeq: number }
}

export type TestEvent = {
  specversion: '1.0'
  id: string
  source: string
  type: 'defender-relay.test'
  subject: string
  time: string
  datacontenttype: 'application/json'
  detectedat: string
  sequence: string
  data: { subscription: string }
}

export type Filter = {
  streams?: string[]
  types?: string[]
  machineIds?: string[]
  computerDnsNames?: string[]
  actionTypes?: string[]
  requestors?: string[]
  states?: string[]
  triggeringAlertIds?: string[]
  scopes?: string[]
  requestSources?: string[]
  terminalOnly?: boolean
}

export type Subscription = {
  id: string
  state: 'active' | 'failing' | 'disabled'
  callbackHost: string
  headerNames: string[]
  audience: string | null
  sink: 'event-grid' | 'service-bus' | null
  description: string | null
  filter: Filter
  contentType: 'application/cloudevents+json' | 'application/json'
  from: Record<string, number>
  createdAt: string
  expiresAt: string | null
}

export type SubscriptionReport = {
  id: string
  state: 'active' | 'failing' | 'disabled'
  callbackHost: string
  headerNames: string[]
  audience: string | null
  sink: 'event-grid' | 'service-bus' | null
  description: string | null
  filter: Filter
  contentType: 'application/cloudevents+json' | 'application/json'
  from: Record<string, number>
  createdAt: string
  expiresAt: string | null
  consecutiveFailures: number
  lastDeliveredAt: string | null
  lastFailure: Failure | null
  pending: number
  dead: number
  disabledReason: string | null
  pausedUntil: string | null
  answerLimitSeconds: number
}

export type Delivery = {
  stream: string
  seq: number
  eventId: string
  state: 'pending' | 'delivered' | 'dead'
  generation: number
  attempt: number
  nextAttemptAt: string | null
  last: Failure | null
}

export type Failure = { at: string; status: number | null; reason: string }

export type ExportRunSummary = {
  runId: string
  kind: string
  method: 'files' | 'json' | null
  state:
    | 'starting'
    | 'listing'
    | 'importing'
    | 'comparing'
    | 'published'
    | 'unchanged'
    | 'empty'
    | 'failed'
  reason: string | null
  generatedTime: string | null
  startedAt: string
  progressAt: string
  waiting: { for: string; until: string } | null
  endedAt: string | null
  epoch: number
  counts: {
    listed: number
    imported: number
    failed: number
    parsed: number
    written: number
    duplicates: number
    rejected: number
  }
  notReadyAtFirst: number
  linksRenewed: number
  unknownFields: Record<string, number>
  unreadable: Record<string, number>
  unreadableRows: number
  guard: 'rejected' | 'unreadable' | 'devices' | null
  devicesBefore: number | null
  snapshot: string | null
  changes: {
    state: 'known' | 'baseline' | 'unknown'
    reason: string | null
    previousRunId: string | null
    counts: Record<string, number>
    countedOnly: string[]
    newThresholds: boolean
    newMethod: boolean
  } | null
}

export type ExportRun = {
  runId: string
  kind: string
  method: 'files' | 'json' | null
  state:
    | 'starting'
    | 'listing'
    | 'importing'
    | 'comparing'
    | 'published'
    | 'unchanged'
    | 'empty'
    | 'failed'
  reason: string | null
  generatedTime: string | null
  startedAt: string
  progressAt: string
  waiting: { for: string; until: string } | null
  endedAt: string | null
  epoch: number
  counts: {
    listed: number
    imported: number
    failed: number
    parsed: number
    written: number
    duplicates: number
    rejected: number
  }
  notReadyAtFirst: number
  linksRenewed: number
  unknownFields: Record<string, number>
  unreadable: Record<string, number>
  unreadableRows: number
  guard: 'rejected' | 'unreadable' | 'devices' | null
  devicesBefore: number | null
  snapshot: string | null
  changes: {
    state: 'known' | 'baseline' | 'unknown'
    reason: string | null
    previousRunId: string | null
    counts: Record<string, number>
    countedOnly: string[]
    newThresholds: boolean
    newMethod: boolean
  } | null
  files: {
    number: number
    path: string
    state: 'waiting' | 'importing' | 'not-ready' | 'expired' | 'imported' | 'failed'
    attempts: number
    bytes: number
    counts: { parsed: number; written: number; duplicates: number; rejected: number }
    reason: string | null
    rejects: { line: number; reason: string; text: string }[]
  }[]
  skippedRows: string[]
  next: string | null
}

export type Scan = {
  source: 'defender' | 'tenable'
  id: string
  run: { id: string | null; number: number | null } | null
  definitionId: string | null
  scannerId: string | null
  orgId: string | null
  name: string | null
  state:
    | 'completed'
    | 'partial'
    | 'failed'
    | 'canceled'
    | 'imported'
    | 'running'
    | 'paused'
    | 'pending'
    | 'never-run'
    | 'unknown'
  upstreamState: string | null
  startedAt: string | null
  endedAt: string | null
  lastScannedAt: string | null
  counts: {
    targets: number | null
    succeeded: number | null
    failed: number | null
    critical: number | null
    high: number | null
    medium: number | null
    low: number | null
    info: number | null
  }
  targets:
    | {
        ip: string | null
        hostname: string | null
        description: string | null
        state:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
          | null
        error: string | null
        durationSeconds: number | null
        severities: {
          critical: number | null
          high: number | null
          medium: number | null
          low: number | null
          info: number | null
        } | null
      }[]
    | null
  completeness: {
    kind: 'complete' | 'partial' | 'archived' | 'running' | 'none'
    reason: string | null
    whereElse: string | null
  }
  errorMessage: string | null
}

export type ScanAnswer = {
  source: 'defender' | 'tenable'
  id: string
  run: { id: string | null; number: number | null } | null
  definitionId: string | null
  scannerId: string | null
  orgId: string | null
  name: string | null
  state:
    | 'completed'
    | 'partial'
    | 'failed'
    | 'canceled'
    | 'imported'
    | 'running'
    | 'paused'
    | 'pending'
    | 'never-run'
    | 'unknown'
  upstreamState: string | null
  startedAt: string | null
  endedAt: string | null
  lastScannedAt: string | null
  counts: {
    targets: number | null
    succeeded: number | null
    failed: number | null
    critical: number | null
    high: number | null
    medium: number | null
    low: number | null
    info: number | null
  }
  targets:
    | {
        ip: string | null
        hostname: string | null
        description: string | null
        state:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
          | null
        error: string | null
        durationSeconds: number | null
        severities: {
          critical: number | null
          high: number | null
          medium: number | null
          low: number | null
          info: number | null
        } | null
      }[]
    | null
  completeness: {
    kind: 'complete' | 'partial' | 'archived' | 'running' | 'none'
    reason: string | null
    whereElse: string | null
  }
  errorMessage: string | null
  cached: { at: string } | null
  raw?: unknown
}

/** The body of a success, by route. */
export interface Answers {
  'GET /health': { status: 'ok' | 'unconfigured' }
  'GET /status': {
    version: string
    time: string
    overall: 'ok' | 'degraded' | 'stopped'
    problems: StatusProblem[]
    sections: {
      changes: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
      scanHistory: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
      avHealth: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
    }
    upstreams: {
      defender: {
        state:
          | 'ok'
          | 'no-identity'
          | 'forbidden'
          | 'gone'
          | 'throttled'
          | 'incompatible'
          | 'unreachable'
          | 'unknown'
        lastOkAt: string | null
        lastError: {
          at: string
          since: string | null
          status: number | null
          title: string
          missing: string[]
        } | null
        budgets: Record<
          string,
          { minuteLeft: number | null; hourLeft: number | null; stoppedUntil: string | null }
        >
      } | null
      tenable: {
        state:
          | 'ok'
          | 'no-identity'
          | 'forbidden'
          | 'gone'
          | 'throttled'
          | 'incompatible'
          | 'unreachable'
          | 'unknown'
        lastOkAt: string | null
        lastError: {
          at: string
          since: string | null
          status: number | null
          title: string
          missing: string[]
        } | null
        budgets: Record<
          string,
          { minuteLeft: number | null; hourLeft: number | null; stoppedUntil: string | null }
        >
      } | null
    }
    changes: Record<string, ChangesReport> | null
    events: Record<string, StreamReport> | null
    deliveries: {
      pending: number
      dead: number
      oldestPendingAt: string | null
      unreadable: number
      failing: { id: string; callbackHost: string; since: string | null; reason: string | null }[]
      disabled: { id: string; callbackHost: string; since: string | null; reason: string | null }[]
      waiting: { id: string; callbackHost: string; since: string }[]
      paused: { id: string; callbackHost: string; since: string | null; until: string }[]
    } | null
    avHealth: ExportsReport | null
    tickets: Record<string, number> | null
    notices: StatusProblem[]
    preflight?: {
      flow:
        | 'machine-actions'
        | 'investigations'
        | 'av-health-files'
        | 'av-health-pages'
        | 'defender-scans'
        | 'tenable-scans'
      state: 'ready' | 'off' | 'unused'
      checks: {
        name: 'settings' | 'tables' | 'queues' | 'secrets' | 'token' | 'grant' | 'probe'
        ok: boolean
        problem: string | null
        fix: string | null
      }[]
    }[]
  }
  'GET /overview': {
    time: string
    status: {
      version: string
      overall: 'ok' | 'degraded' | 'stopped'
      problems: StatusProblem[]
      sections: {
        changes: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
        scanHistory: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
        avHealth: { state: 'ok' | 'unconfigured' | 'degraded'; problems: StatusProblem[] }
      }
      upstreams: {
        defender: {
          state:
            | 'ok'
            | 'no-identity'
            | 'forbidden'
            | 'gone'
            | 'throttled'
            | 'incompatible'
            | 'unreachable'
            | 'unknown'
          lastOkAt: string | null
          lastError: {
            at: string
            since: string | null
            status: number | null
            title: string
            missing: string[]
          } | null
          budgets: Record<
            string,
            { minuteLeft: number | null; hourLeft: number | null; stoppedUntil: string | null }
          >
        } | null
        tenable: {
          state:
            | 'ok'
            | 'no-identity'
            | 'forbidden'
            | 'gone'
            | 'throttled'
            | 'incompatible'
            | 'unreachable'
            | 'unknown'
          lastOkAt: string | null
          lastError: {
            at: string
            since: string | null
            status: number | null
            title: string
            missing: string[]
          } | null
          budgets: Record<
            string,
            { minuteLeft: number | null; hourLeft: number | null; stoppedUntil: string | null }
          >
        } | null
      }
      notices: StatusProblem[]
    }
    fleet: {
      snapshot: {
        runId: string
        generatedTime: string | null
        thresholds: { signatureDays: number; scanDays: number; notSeenDays: number } | null
      }
      devices: number
      changes: { state: string; counts: Record<string, number> } | null
      counts: Record<string, Record<string, number>> | null
    } | null
    standing: { asOf: string | null; counts: Record<string, number> | null } | null
    open: Record<string, ChangesReport> | null
    runs: ExportsReport | null
    waiting: {
      events: Record<string, StreamReport> | null
      deliveries: {
        pending: number
        dead: number
        oldestPendingAt: string | null
        unreadable: number
        failing: { id: string; callbackHost: string; since: string | null; reason: string | null }[]
        disabled: {
          id: string
          callbackHost: string
          since: string | null
          reason: string | null
        }[]
        waiting: { id: string; callbackHost: string; since: string }[]
        paused: { id: string; callbackHost: string; since: string | null; until: string }[]
      } | null
    }
  }
  'GET /openapi.json': { openapi: string }
  'GET /swagger.json': { swagger: string }
  'GET /event-types': {
    eventTypes: { type: string; stream: string; schema: object; sample: CloudEvent }[]
  }
  'GET /event-types/{kind}': { kind: string; schema: object }
  'POST /av-health/exports': { runId: string; state: string; joined: boolean }
  'GET /av-health/exports': { runs: ExportRunSummary[]; next: string | null; skippedRows: string[] }
  'POST /av-health/exports/{runId}/publish': { runId: string; state: string }
  'GET /av-health/exports/{runId}': ExportRun
  'GET /av-health/exports/{runId}/wait': ExportRunSummary
  'GET /av-health/snapshots': {
    snapshots: {
      runId: string
      generatedTime: string | null
      method: 'files' | 'json' | null
      devices: number
      publishedAt: string | null
      current: boolean
      table: string | null
    }[]
    next: string | null
    skippedRows: string[]
  }
  'GET /av-health/changes': {
    changes: {
      at: string
      runId: string
      kind: string
      from: {
        mode?: string | null
        signature?: string | null
        engine?: string | null
        platform?: string | null
        quickScan?: string | null
        fullScan?: string | null
        scans?: string | null
        seen?: string | null
        name?: string | null
        group?: string | null
        groupName?: string | null
        os?: string | null
        osVersion?: string | null
      }
      to: {
        mode?: string | null
        signature?: string | null
        engine?: string | null
        platform?: string | null
        quickScan?: string | null
        fullScan?: string | null
        scans?: string | null
        seen?: string | null
        name?: string | null
        group?: string | null
        groupName?: string | null
        os?: string | null
        osVersion?: string | null
      }
      machineId: string
      computerDnsName: string | null
    }[]
    next: string | null
    isKnown: boolean
    scanned: number
  }
  'GET /devices/{machineId}/history': {
    history: {
      at: string
      runId: string
      kind: string
      from: {
        mode?: string | null
        signature?: string | null
        engine?: string | null
        platform?: string | null
        quickScan?: string | null
        fullScan?: string | null
        scans?: string | null
        seen?: string | null
        name?: string | null
        group?: string | null
        groupName?: string | null
        os?: string | null
        osVersion?: string | null
      }
      to: {
        mode?: string | null
        signature?: string | null
        engine?: string | null
        platform?: string | null
        quickScan?: string | null
        fullScan?: string | null
        scans?: string | null
        seen?: string | null
        name?: string | null
        group?: string | null
        groupName?: string | null
        os?: string | null
        osVersion?: string | null
      }
    }[]
    next: string | null
    isKnown: boolean
    scanned: number
  }
  'GET /av-health/summary': {
    snapshot: {
      runId: string
      generatedTime: string | null
      thresholds: { signatureDays: number; scanDays: number; notSeenDays: number } | null
    }
    devices: number
    changes: { state: string; counts: Record<string, number> } | null
    counts: Record<string, Record<string, number>> | null
  }
  'GET /av-health/trend': {
    by:
      | 'mode'
      | 'signature'
      | 'engine'
      | 'platform'
      | 'quickScan'
      | 'fullScan'
      | 'scans'
      | 'seen'
      | 'os'
      | 'group'
      | 'signatureVersion'
      | 'engineVersion'
      | 'platformVersion'
    days: {
      day: string
      runId: string | null
      devices: number | null
      counts: Record<string, number> | null
      partial: boolean
    }[]
  }
  'GET /devices': {
    devices: {
      machineId: string
      computerDnsName: string | null
      avHealth: {
        computerDnsName: string | null
        osPlatform: string | null
        osVersion: string | null
        rbacGroupName: string | null
        avModeName: string | null
        lastSeenTime: string | null
        avSignatureVersion: string | null
        avEngineVersion: string | null
        avPlatformVersion: string | null
        avSignaturePublishTime: string | null
        avSignatureUpdateTime: string | null
        avIsSignatureUpToDate: string | null
        avIsEngineUpToDate: string | null
        avIsPlatformUpToDate: string | null
        quickScanResult: string | null
        quickScanTime: string | null
        fullScanResult: string | null
        fullScanTime: string | null
        customScanResult: string | null
        customScanTime: string | null
        conditions:
          | (
              | 'signature-stale'
              | 'engine-stale'
              | 'platform-stale'
              | 'passive'
              | 'disabled'
              | 'edr-block'
              | 'quick-scan-failing'
              | 'full-scan-failing'
              | 'scan-overdue'
              | 'not-seen'
              | 'unknown-mode'
            )[]
          | null
      } | null
      standing: {
        isolation: {
          state: 'isolated' | 'selective' | 'released' | 'unknown'
          since: string | null
          actionId: string | null
        }
        codeExecution: {
          state: 'restricted' | 'unrestricted' | 'unknown'
          since: string | null
          actionId: string | null
        }
        lastScan: { scope: string | null; since: string | null; actionId: string | null } | null
        lastPackage: { since: string | null; actionId: string | null } | null
        pending: {
          type: string | null
          requestor: string | null
          since: string | null
          actionId: string | null
          duplicateOf: (string | null)[]
        }[]
        pendingCut: boolean
      } | null
    }[]
    next: string | null
    snapshot: {
      runId: string
      generatedTime: string | null
      thresholds: { signatureDays: number; scanDays: number; notSeenDays: number } | null
    } | null
    asOf: string | null
    scanned: number
  }
  'GET /devices/{machineId}': {
    machineId: string
    computerDnsName: string | null
    avHealth: {
      snapshot: {
        runId: string
        generatedTime: string | null
        thresholds: { signatureDays: number; scanDays: number; notSeenDays: number } | null
      } | null
      device: {
        computerDnsName?: string | null
        osKind?: string | null
        osPlatform?: string | null
        osVersion?: string | null
        avSignatureVersion?: string | null
        avEngineVersion?: string | null
        avPlatformVersion?: string | null
        quickScanResult?: string | null
        quickScanError?: string | null
        fullScanResult?: string | null
        fullScanError?: string | null
        customScanResult?: string | null
        customScanError?: string | null
        avSignatureRing?: string | null
        avPlatformRing?: string | null
        avEngineRing?: string | null
        cloudProtectionState?: string | null
        rbacGroupName?: string | null
        lastSeenTime?: string | null
        quickScanTime?: string | null
        fullScanTime?: string | null
        customScanTime?: string | null
        dataRefreshTimestamp?: string | null
        avSignatureUpdateTime?: string | null
        avEngineUpdateTime?: string | null
        avPlatformUpdateTime?: string | null
        avSignaturePublishTime?: string | null
        avEnginePublishTime?: string | null
        avPlatformPublishTime?: string | null
        avPlatformExpirationTime?: string | null
        avSignatureDataRefreshTime?: string | null
        avModeDataRefreshTime?: string | null
        avIsSignatureUpToDate?: string | null
        avIsEngineUpToDate?: string | null
        avIsPlatformUpToDate?: string | null
        avMode?: string | null
        rbacGroupId?: number | null
        avModeName?: string | null
        other?: object
      } | null
      conditions:
        | (
            | 'signature-stale'
            | 'engine-stale'
            | 'platform-stale'
            | 'passive'
            | 'disabled'
            | 'edr-block'
            | 'quick-scan-failing'
            | 'full-scan-failing'
            | 'scan-overdue'
            | 'not-seen'
            | 'unknown-mode'
          )[]
        | null
      firstSeenAt: string | null
      goneSince: string | null
      lastChanges: {
        at: string
        runId: string
        kind: string
        from: {
          mode?: string | null
          signature?: string | null
          engine?: string | null
          platform?: string | null
          quickScan?: string | null
          fullScan?: string | null
          scans?: string | null
          seen?: string | null
          name?: string | null
          group?: string | null
          groupName?: string | null
          os?: string | null
          osVersion?: string | null
        }
        to: {
          mode?: string | null
          signature?: string | null
          engine?: string | null
          platform?: string | null
          quickScan?: string | null
          fullScan?: string | null
          scans?: string | null
          seen?: string | null
          name?: string | null
          group?: string | null
          groupName?: string | null
          os?: string | null
          osVersion?: string | null
        }
      }[]
    }
    standing: {
      isolation: {
        state: 'isolated' | 'selective' | 'released' | 'unknown'
        since: string | null
        actionId: string | null
      }
      codeExecution: {
        state: 'restricted' | 'unrestricted' | 'unknown'
        since: string | null
        actionId: string | null
      }
      lastScan: { scope: string | null; since: string | null; actionId: string | null } | null
      lastPackage: { since: string | null; actionId: string | null } | null
      pending: {
        type: string | null
        requestor: string | null
        since: string | null
        actionId: string | null
        duplicateOf: (string | null)[]
      }[]
      pendingCut: boolean
      asOf: string | null
    }
    lastEvents: {
      sequence: string
      time: string
      type: string
      actionId: string
      action: string | null
      state: string | null
    }[]
    knownScans: {
      complete: false
      scans: {
        source: 'defender' | 'tenable'
        id: string
        run: { id: string | null; number: number | null } | null
        name: string | null
        state:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
        startedAt: string | null
        endedAt: string | null
        hostname: string
        hostState:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
          | null
        lookedUpAt: string
      }[]
    } | null
  }
  'GET /changes/{resource}/items': { items: Item[]; next: string | null }
  'GET /changes/{resource}/items/{id}': { item: Item; events: CloudEvent[] }
  'GET /changes/{resource}/items/{id}/wait': {
    outcome: 'terminal' | 'deadline' | 'gone'
    item: Item | null
    events: CloudEvent[]
  }
  'POST /changes/{resource}/check': {
    startedAt: string
    endedAt: string
    listed: number
    rechecked: number
    events: number
    openItems: number
    unreadable: number
    outside: number
    badTimes: number
    missing: number
    unknownStates: Record<string, number>
  }
  'GET /events': { events: CloudEvent[]; next: string; more: boolean }
  'POST /subscriptions': Subscription
  'GET /subscriptions': { subscriptions: SubscriptionReport[]; next: string | null }
  'POST /subscriptions/unsubscribe': { deleted: number }
  'GET /continue': unknown
  'GET /subscriptions/{id}': SubscriptionReport
  'PATCH /subscriptions/{id}': {
    id: string
    state: 'active' | 'failing' | 'disabled'
    callbackHost: string
    headerNames: string[]
    audience: string | null
    sink: 'event-grid' | 'service-bus' | null
    description: string | null
    filter: Filter
    contentType: 'application/cloudevents+json' | 'application/json'
    from: Record<string, number>
    createdAt: string
    expiresAt: string | null
    consecutiveFailures: number
    lastDeliveredAt: string | null
    lastFailure: Failure | null
    pending: number
    dead: number
    disabledReason: string | null
    pausedUntil: string | null
    answerLimitSeconds: number
    dropped: ('headers' | 'audience')[]
  }
  'POST /subscriptions/{id}/enable': SubscriptionReport
  'POST /subscriptions/{id}/rotate-secret': { secret: string; previousValidUntil: string }
  'GET /subscriptions/{id}/deliveries': { deliveries: Delivery[]; next: string | null }
  'GET /subscriptions/{id}/deliveries/{eventId}': {
    stream: string
    seq: number
    eventId: string
    state: 'pending' | 'delivered' | 'dead'
    generation: number
    attempt: number
    nextAttemptAt: string | null
    last: Failure | null
    attempts: {
      at: string
      status: number | null
      reason: string
      generation: number
      attempt: number
      answer: string | null
    }[]
  }
  'POST /subscriptions/{id}/deliveries/{eventId}/resend': { queued: number }
  'POST /subscriptions/{id}/recover': { queued: number }
  'POST /subscriptions/{id}/replay': { queued: number }
  'POST /subscriptions/{id}/test': {
    eventId: string
    delivered: boolean
    status: number | null
    reason: string
    answer: string | null
  }
  'GET /scan-history/defender/sessions/{id}': ScanAnswer
  'GET /scan-history/defender/sessions': { sessions: ScanAnswer[]; notFound: string[] }
  'GET /scan-history/defender/definitions': {
    definitions: {
      id: string | null
      name: string | null
      orgId: string | null
      isActive: boolean | null
      createdBy: string | null
      intervalInHours: number | null
      scanType: string | null
      targetType: string | null
      targets: string[] | null
      reason: 'scan-kind-retired' | null
      latestScan: {
        state:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
        upstreamState: string | null
        failureReason: string | null
        executedAt: string | null
      } | null
      scanner: {
        id: string | null
        machineId: string | null
        machineName: string | null
        lastSeen: string | null
      } | null
    }[]
    next: string | null
    cached: { at: string } | null
  }
  'GET /scan-history/defender/definitions/{id}': {
    definition: {
      id: string | null
      name: string | null
      orgId: string | null
      isActive: boolean | null
      createdBy: string | null
      intervalInHours: number | null
      scanType: string | null
      targetType: string | null
      targets: string[] | null
      reason: 'scan-kind-retired' | null
      latestScan: {
        state:
          | 'completed'
          | 'partial'
          | 'failed'
          | 'canceled'
          | 'imported'
          | 'running'
          | 'paused'
          | 'pending'
          | 'never-run'
          | 'unknown'
        upstreamState: string | null
        failureReason: string | null
        executedAt: string | null
      } | null
      scanner: {
        id: string | null
        machineId: string | null
        machineName: string | null
        lastSeen: string | null
      } | null
    } | null
    sessions: Scan[]
    next: string | null
    cached: { at: string } | null
    raw?: unknown
  }
  'GET /scan-history/tenable/scans/{id}': ScanAnswer
  'GET /scan-history/tenable/scans/{id}/runs': {
    runs: {
      id: string | null
      number: number | null
      state:
        | 'completed'
        | 'partial'
        | 'failed'
        | 'canceled'
        | 'imported'
        | 'running'
        | 'paused'
        | 'pending'
        | 'never-run'
        | 'unknown'
      upstreamState: string | null
      startedAt: string | null
      endedAt: string | null
      archived: boolean | null
    }[]
    next: string | null
    cached: { at: string } | null
  }
  'GET /scan-history/tenable/scans/{id}/status': {
    id: string
    state:
      | 'completed'
      | 'partial'
      | 'failed'
      | 'canceled'
      | 'imported'
      | 'running'
      | 'paused'
      | 'pending'
      | 'never-run'
      | 'unknown'
    upstreamState: string | null
    over: boolean
  }
  'POST /tickets/revoke': { revoked: number }
}

/** The watched kinds. */
export const kinds = {
  'machine-actions': {
    title: 'machine actions',
    openStates: ['Pending', 'InProgress'],
  },
  investigations: {
    title: 'investigations',
    openStates: ['Unknown', 'Running', 'PendingApproval', 'PendingResource', 'Queued'],
  },
} as const

/** What may change on a device between two snapshots. */
export const changeKinds = [
  'appeared',
  'disappeared',
  'returned',
  'mode-changed',
  'signature-stale',
  'signature-fresh',
  'engine-stale',
  'engine-fresh',
  'platform-stale',
  'platform-fresh',
  'quick-scan-failing',
  'quick-scan-recovered',
  'full-scan-failing',
  'full-scan-recovered',
  'scan-overdue',
  'scan-done',
  'not-seen',
  'seen-again',
  'renamed',
  'group-moved',
  'os-changed',
  'became-unknown',
  'became-known',
] as const
