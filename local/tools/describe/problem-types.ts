/** One type of problem: the statuses that it comes with, and what it means. */
interface ProblemType {
  statuses: number[]
  meaning: string
}

/** Every `type` of a problem, without `urn:defender-relay:`. A test compares the names and statuses with the code. */
export const problemTypes: Record<string, ProblemType> = {
  'invalid-request': {
    statuses: [400],
    meaning:
      'The path, the query, the body or the `Host` header is wrong. `errors` names each fault with its place.',
  },
  'callback-refused': {
    statuses: [400],
    meaning:
      'The callback URL is not allowed: see [rules for callback URLs](logic-apps.md#rules-for-callback-urls).',
  },
  'callback-unresolvable': {
    statuses: [400],
    meaning:
      'The host name of the callback URL does not resolve, or not only to public addresses. The answer takes five seconds and is the same for both, so that nobody learns names of an internal DNS.',
  },
  'audience-refused': {
    statuses: [400],
    meaning:
      'The setting `CALLBACK_AUDIENCES` does not let the app send a token for this audience, or of this sink, to this host.',
  },
  'callback-taken': {
    statuses: [409],
    meaning: 'Another subscription has the callback URL that this one should move to.',
  },
  'delivery-not-found': {
    statuses: [404],
    meaning: 'The subscription has no delivery of this event, or no longer.',
  },
  'body-too-large': { statuses: [413], meaning: 'The body is larger than 256 KiB.' },
  'length-required': {
    statuses: [411],
    meaning: 'The body came in chunks. Send it with `Content-Length`.',
  },
  'unsupported-media-type': {
    statuses: [415],
    meaning:
      'The `Content-Type` is not JSON or names another charset than UTF-8, or the body is compressed.',
  },
  'run-not-found': { statuses: [404], meaning: 'There is no export run with this id.' },
  'device-not-found': {
    statuses: [404],
    meaning:
      'No snapshot and no machine action names this device. The route takes ids; a list finds names.',
  },
  'no-snapshot-yet': {
    statuses: [404],
    meaning: 'No snapshot was published yet, or none until the time that was asked for.',
  },
  'conditions-unknown': {
    statuses: [409],
    meaning:
      'The current snapshot was published without a comparison, so its devices have no conditions.',
  },
  'item-not-found': {
    statuses: [404],
    meaning: 'Neither the app nor Defender knows this machine action or investigation.',
  },
  'session-not-found': {
    statuses: [404],
    meaning: 'Defender has no such session of an authenticated scan, or keeps it no longer.',
  },
  'definition-not-found': {
    statuses: [404],
    meaning: 'Defender does not list this scan definition and has no session of it.',
  },
  'scan-not-found': { statuses: [404], meaning: 'Tenable has no such scan.' },
  'scan-or-run-not-found': {
    statuses: [404],
    meaning:
      'Tenable has no such scan, or the scan has no such run. Tenable answers both with the same words.',
  },
  'subscription-not-found': { statuses: [404], meaning: 'There is no subscription with this id.' },
  'ticket-not-found': {
    statuses: [404],
    meaning:
      'The ticket of a `Location` is unknown, has ended, or does not open this request. Make the first request again. The `Location` of a subscription takes only DELETE; without it, use the id or the callback URL.',
  },
  'action-failed': {
    statuses: [409],
    meaning:
      'The machine action or investigation ended in a state that `failOn` names. `item` is the item.',
  },
  'export-in-progress': {
    statuses: [409],
    meaning:
      'A run is in progress, which was started with another method or without `force`, or must end before a run is published on request. `detail` names it and what it does not do.',
  },
  'run-not-publishable': {
    statuses: [409],
    meaning:
      'No guard stopped this run, or more than 24 hours ago, or it holds no device, or a newer snapshot is published. `detail` says which.',
  },
  'subscription-busy': {
    statuses: [409],
    meaning:
      'Other requests subscribe the same callback URL, or change the subscription, at this moment. Try again.',
  },
  'subscription-disabled': {
    statuses: [409],
    meaning: 'The subscription is disabled. Enable it before you replay, recover or resend.',
  },
  'too-many-secrets': {
    statuses: [409],
    meaning:
      'Five earlier secrets of the subscription still sign. `fix` says when the first one ends.',
  },
  'replay-running': {
    statuses: [409],
    meaning: 'Another replay of this subscription is running. A subscription has one at a time.',
  },
  'secret-missing': {
    statuses: [409],
    meaning:
      'The callback URL and the signing secret of this subscription are lost. Its events are kept until its callback URL is subscribed again.',
  },
  'too-many-subscriptions': { statuses: [409], meaning: 'There are 200 subscriptions already.' },
  'cursor-expired': {
    statuses: [410],
    meaning:
      'The events or the snapshot of this cursor are no longer stored, or the data account was emptied. `fix` says where to go on.',
  },
  'not-configured': {
    statuses: [503],
    meaning: 'A setting of this part is missing or wrong. `detail` names it.',
  },
  'upstream-refused': {
    statuses: [502],
    meaning:
      'Defender or Tenable refuses the app (401, 403). `detail` names the missing role or permission.',
  },
  'upstream-unavailable': {
    statuses: [502],
    meaning:
      'The upstream failed: another error status, or no connection. `fix` says whether repeating the request helps.',
  },
  'storage-unavailable': {
    statuses: [503],
    meaning: 'The storage account does not answer, or refuses the app. See `detail`.',
  },
  'upstream-timeout': { statuses: [504], meaning: 'The upstream did not answer in time.' },
  'upstream-throttled': {
    statuses: [429, 503],
    meaning:
      'No call is left. 429: the call budget of the app is used up, or, on a scan look-up, the upstream allows no more calls. 503: on other routes, the upstream allows no more calls. Both have `Retry-After`.',
  },
  'upstream-changed': {
    statuses: [502],
    meaning: 'The upstream answered in an unknown shape. A newer version of this app may know it.',
  },
}
