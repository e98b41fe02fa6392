/** A published unit price in US dollars. */
export interface Price {
  what: string
  dollars: number
  /** Microsoft's page that lists it. */
  page: string
}

/** When the prices were read, in copies of Microsoft's price lists; the dearer of two regions where they differ. */
export const PRICES_READ = 'November 2026'

/**
 * Pay-as-you-go prices of a general-purpose v2 account with local redundancy and of the other services, without taxes.
 * Change them here, then `npm run cost -- --page`.
 */
export const prices = {
  gbSecond: { what: 'GB-second on demand', dollars: 0.000026, page: 'Azure Functions' },
  execution: { what: 'million executions', dollars: 0.4, page: 'Azure Functions' },
  alwaysReady: {
    what: 'GB-second of an always-ready instance that waits',
    dollars: 0.000004,
    page: 'Azure Functions',
  },
  table: { what: '10,000 table operations', dollars: 0.00036, page: 'Azure Table Storage' },
  tableGb: { what: 'GB-month in tables', dollars: 0.045, page: 'Azure Table Storage' },
  queue: { what: '10,000 queue operations', dollars: 0.004, page: 'Azure Queue Storage' },
  blobWrite: { what: '10,000 writes of blobs', dollars: 0.055, page: 'Azure Blob Storage' },
  blobOther: {
    what: '10,000 reads of blobs and renewals of their leases',
    dollars: 0.0044,
    page: 'Azure Blob Storage',
  },
  logGb: { what: 'GB of logs', dollars: 2.99, page: 'Azure Monitor' },
  rule5: { what: 'alert rule, evaluated each 5 minutes', dollars: 1.5, page: 'Azure Monitor' },
  rule10: { what: 'alert rule, each 10 minutes', dollars: 1, page: 'Azure Monitor' },
  rule15: {
    what: 'alert rule, each 15 minutes or less often',
    dollars: 0.5,
    page: 'Azure Monitor',
  },
  endpoint: { what: 'private endpoint', dollars: 7.3, page: 'Azure Private Link' },
  nat: { what: 'NAT gateway', dollars: 32.85, page: 'Azure NAT Gateway' },
  address: { what: 'fixed public address', dollars: 3.65, page: 'IP Addresses' },
  zone: { what: 'private DNS zone', dollars: 0.5, page: 'Azure DNS' },
} satisfies Record<string, Price>

/** What is free each month for a subscription, while nothing else uses it. */
export const free = { gbSeconds: 100_000, executions: 250_000, logGb: 5, egressGb: 100 }
