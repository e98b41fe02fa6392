/** What `docs/api.md` says before its tables. */
export const introduction = `# API

For those who call the app: scripts, Logic Apps, other services.

<!-- Made by \`npm run describe\` from the schemas of the routes. Texts: local/tools/describe/api-texts.ts and problem-types.ts -->

The same API as a machine reads it: \`GET /api/openapi.json\` (OpenAPI 3.0) and \`GET /api/swagger.json\` (Swagger 2.0 with the
triggers of a Logic Apps connector). Copies are in \`docs/openapi.json\` and \`docs/swagger.json\`; their host is a placeholder.
Events, webhooks and Logic Apps have [a page of their own](logic-apps.md).

## Keys

Send the function key in the header \`x-functions-key\`, or as \`?code=KEY\`. When both are there, the header counts. These routes need no
key: \`health\`, \`openapi.json\`, \`swagger.json\`, \`continue\` and the page \`portal\`. [SECURITY.md](../SECURITY.md#who-trusts-whom) says how to
give a caller a key that opens only some functions.

## Requests

A body is JSON in UTF-8. It is not compressed (else 415), has at most 256 KiB (else 413) and comes with \`Content-Length\` (a chunked
body is answered with 411). An unknown parameter or member is refused with 400, also
where a POST takes no member. An error repeats at most 40 characters of an unknown name, and no URL. An optional member of a body that is null, an empty text or an
empty list is as if it were absent; an empty query parameter is refused.

Streams and event types are fixed lists: another value is refused with 400. States, action types and requestors are Defender's own
words, and Defender may add more: an unknown one is accepted and matches nothing. Only \`state\` in a list of items must be known.

## Errors

Errors are \`application/problem+json\` (RFC 9457) with \`type\`, \`title\`, \`status\`, \`detail\`, \`instance\` (the invocation),
\`correlation\` and, where there is one, \`fix\`: what to do. A wrong request also has \`errors\`, one entry for each fault.

\`correlation\` is in every log line about the request, and about the deliveries that the request causes. It is your own GUID in
\`x-ms-client-request-id\`; without one it is the trace id of \`traceparent\`, and without that the id of the invocation. An
\`x-ms-client-request-id\` that is not a GUID is ignored without an error.

The Functions host refuses some requests before the app sees them. These answers have no body: 401 and 403 (the key), 404 (no such
route or method), 413 (the body is larger than 100 MiB), 414 (the URL is too long), 431 (the headers are too long), and 400 for a
header that HTTP does not allow. A fault of the app is a 500 without a body; its log has the reason.

## Lists and cursors

A list takes \`limit\` (1 to 1,000) and \`after\`. A page may have fewer entries than \`limit\`, or none, and still a \`next\`. It answers \`next\`, which is the \`after\` of the next page; on the last page \`next\`
is null. The header \`Link\` has the address of the next page. A cursor belongs to its list: another list refuses it with 400.

A list that takes \`format=csv\` answers the same page as CSV, with a header line and \`limit\` to 10,000. Text is in quotes. A text that
a spreadsheet could run as a formula (it begins with \`=\`, \`+\`, \`-\`, \`@\` or an apostrophe, perhaps behind spaces) has one apostrophe more
in front. Follow \`Link\` for the rest; \`relay … --csv FILE\` does so and writes one file.

These filters have forms of their own:

| filter | form |
|---|---|
| \`state\`, \`type\` of items; \`condition\`, \`isolation\`, \`kind\` | one word, or several with commas: \`Pending,InProgress\` |
| \`openFor\` | a duration: \`30m\`, \`12h\`, \`7d\` |
| \`since\`, \`until\`, \`at\`, \`createdAfter\`, \`createdBefore\`, \`seenBefore\` | RFC 3339 (\`2026-11-30T08:00:00Z\`; write a \`+\` as \`%2B\`), or so long ago: \`30m\`, \`12h\`, \`7d\` |
| \`name\` | the whole name, or its beginning with \`*\`: \`pc-0*\`; letter case does not count |
| \`sort\` of devices | \`id\`; \`worst\` (usual with one \`condition\`); \`name\` (usual with \`name\`) |

\`GET /api/events\` always answers \`next\`, since more events may come; \`more\` says whether there are some already.

## Long answers

A 202 has a \`Location\` and \`Retry-After\`. Ask the \`Location\` again after so many seconds, until it answers 200. A \`Location\` holds
a ticket and needs no key, because callers such as Logic Apps drop their headers when they follow one. Treat it as a secret.

A ticket opens only the answer that it was made for. It ends with the final answer: after that, or when that answer was lost on
its way, make the first request again. The ticket of a polling trigger ends 30 days after its last use, and 180 days after it was
made. [\`POST /api/tickets/revoke\`](#post-apiticketsrevoke) ends all tickets; \`status\` counts those that are
valid, without the \`Location\`s of subscriptions.

## Cached answers

Scan look-ups and the API descriptions have an \`ETag\`. Send it in \`If-None-Match\`. The answer 304 means that nothing has changed.
All other answers have \`cache-control: no-store\`; all answers have \`x-content-type-options: nosniff\`.

## Addresses in answers

\`Location\` and the API descriptions have the host that the request names in its \`Host\` header. Behind a gateway set
\`PUBLIC_BASE_URL\`: then they have that address. Without it, a caller who can send any \`Host\` through the gateway can make the app
answer a \`Location\` on another host. A client that follows it sends its ticket there. \`Host\` must be a name or an address, with or
without a port; the host refuses anything else with 400, without a body.

## Limits

Every call to an upstream uses one token of the [call budget](architecture.md#the-call-budget), which all instances share. (It has
nothing to do with an access token.) When there is no token of the budget in time, the answer is \`upstream-throttled\` with \`Retry-After\`; no request hangs.`

/** A chapter of the page: the routes whose path begins with one of the tags. */
interface Section {
  title: string
  tags: string[]
  text?: string
}

export const sections: Section[] = [
  {
    title: 'The app',
    tags: ['health', 'status', 'overview', 'openapi.json', 'swagger.json'],
    text: `In \`lastError\`, \`since\` says since when calls fail with this state, without a good one in between.

Two addresses are in no description, since they answer no JSON of this API: \`GET /api/portal\` is [the page](portal.md), and
\`POST /api/mcp\` has the same answers as [tools for assistants](mcp.md).`,
  },
  {
    title: 'Antivirus health',
    tags: ['av-health'],
    text: `A run ends in one of these states:

| state | meaning |
|---|---|
| \`published\` | Every listed file was imported; the snapshot is the current one. |
| \`unchanged\` | This export was imported before, or is older than a snapshot that was read by pages. |
| \`empty\` | The export offers no device, and there is no snapshot yet. After a snapshot, such a run is \`failed\`: see \`guard\`. |
| \`failed\` | With a reason. The previous snapshot stays current. The next scheduled run starts from the beginning. |

- A snapshot is published only when every listed file was imported and \`parsed = written + duplicates + rejected\`. More than 1 %
  rejected lines fail the run.
- \`guard\` names what kept a worse snapshot from replacing a good one: \`rejected\` (more than 1 % of the lines),
  \`unreadable\` (a value that answers rest on is present and can't be read in more than 1 % of the rows), \`devices\` (fewer
  than 80 % of \`devicesBefore\`; published when three runs over 24 hours agree within 2 %). Such a run keeps its table
  \`snapshot\` for 24 hours, and \`POST …/publish\` publishes it without a new download. Repeating that call changes nothing.
- \`unreadable\` counts the values of each field that were sent and could not be read. \`waiting\` says what a run in progress
  waits for, and until when. \`skippedRows\` names stored rows that were left out because they can't be read.
- A device that is in two files is stored once: the row with the newest \`dataRefreshTimestamp\`, then the newest \`lastSeenTime\`, then
  the lower file number.
- A flag is \`true\`, \`false\` or \`unknown\`. Fields without a column are stored in \`other\`; unknown fields are
  counted.
- Each snapshot is a table \`AvHealthSnapshot<run id>\`. PartitionKey is a bucket of the machine id (\`00\`…, \`~\`), RowKey the machine id.
  Columns have the names of Microsoft's JSON answer (the paged method), times are RFC 3339 in UTC.`,
  },
  {
    title: 'Changes',
    tags: ['changes'],
    text: `\`{resource}\` is \`machine-actions\` or \`investigations\`. An item is one machine action or one investigation. It has the
same answer under each of its names: an id in capitals, or the id of the alert that triggered an investigation.

- \`state\` and \`type\` in a list of items take one value or several with commas; every other filter takes one value. A state is one of
  those that Defender documents or that an open item has. Another word is refused with 400, and so is a filter by a field that the
  resource does not have.
- A time that Defender wrote in no readable form is null; \`item\` has its text.
- \`commands\` has the commands of a live response: one may fail although the action succeeds. The arguments of the commands may be
  secrets. They are in no answer, event or table: \`item\` has \`"[removed]"\` for each.
- \`fieldsCut\` names fields that were too long for a row: a text has its first 2,000 characters, anything else is null.
- In \`lastPoll\`, \`unreadable\` counts rows without an id or a state, \`outside\` rows that Defender sent though they do not answer the
  question (they are dropped), \`badTimes\` unreadable times, and \`missing\` open items that Defender does not know, when they are too
  many to be gone.`,
  },
  {
    title: 'Devices',
    tags: ['devices'],
    text: `A device is seen from the snapshots (\`avHealth\`) and from the machine actions (\`standing\`).

- \`standing\` is folded from the events of machine actions: isolation, code execution, the last scan and investigation package that
  succeeded, and what is open. \`asOf\` says until when. At the first poll the kept history of isolation and restriction is read too.
  \`unknown\` means that no kept action says it; it is never shown as \`released\`. Of two actions in conflict the one that ended last counts.
- A list by \`isolation\` or \`pendingAction\` reads the standing, in the order of ids; with another filter it looks each device up in
  the snapshot. Every list of a snapshot goes on in the one of its first page; once that is dropped the answer is 410. A list by
  \`name\` or one \`condition\` can go on in the current snapshot and the one before.
- A snapshot with \`changes\` unknown has no index of conditions and names: these lists answer 409, and \`sort=id\` answers all the same.
- \`os\`, \`group\`, \`name\` and \`pendingAction\` are free text in any case: Defender may have words that the app does not know, so
  an unknown one answers an empty list. \`GET /api/av-health/summary\` has the systems and groups of the fleet, as \`os\` and \`group\`
  in \`counts\`; the types of machine actions are \`type\` in \`GET /api/changes/machine-actions/items\`, for instance \`Isolate\`.
- \`counted\` takes \`<dimension>:<value>\` as the summary writes it. A dimension with fixed values (\`mode\`, \`signature\`, \`engine\`,
  \`platform\`, \`quickScan\`, \`fullScan\`, \`scans\`, \`seen\`) takes these and \`(unknown)\`; another word is refused with 400.
- A filter without an index reads at most 20 pages or 5 seconds: an empty page with \`next\` is an answer, \`scanned\` says how far it came.
- \`knownScans\` has the scans of the last 90 days that were looked up through this app and name the device, with or without its
  domain. It is never complete.
- \`worst\` begins with the oldest signatures, the longest unseen, the longest without a scan.`,
  },
  { title: 'Events', tags: ['events', 'event-types'] },
  { title: 'Subscriptions', tags: ['subscriptions'] },
  {
    title: 'Scan history',
    tags: ['scan-history'],
    text: `Both sources have one shape: \`state\`, \`counts\`, \`targets\`, times, and \`completeness\`. \`completeness\` says whether the
answer holds everything, if not why not, and where the rest is. A number is a count over everything, so 0 means that there
is none. Null means that the source does not say, or that it shows only a part.

| answer | meaning |
|---|---|
| \`targets: []\`, \`complete\` | The run is over and has no targets. |
| \`targets: null\`, \`archived\` | A Tenable run older than 35 days. Tenable no longer shows its hosts; the export has them (after 60 days only as nessus or csv). After 15 months nothing has them. |
| \`targets: null\`, \`running\` | The run is not over, and nothing is counted. \`whereElse\` names the last run that is over. |
| \`targets: null\`, \`none\` | The scan never ran and has no run in its list, or failed before it began. |
| \`partial\` | The source lists fewer targets than it counts, or it is indexing its results again, or the state is unknown to the app. |
| 404 | There is no such scan, run or session. Tenable has the same words for scan and run. |
| 502 \`upstream-refused\` | The app may not see it: \`detail\` names the missing role or permission. Or it is a Tenable scan of a web application: its results are not in this API, and no permission helps. |
| 502 \`upstream-unavailable\` | \`fix\` says whether repeating helps. When a whole route is gone, the title says so: that is no missing scan and no empty list. |
| 429 with \`Retry-After\` | No call is left for now, or the upstream allows none. |

Complete and archived answers about finished runs are cached for \`SCAN_CACHE_DAYS\` and shared by all instances, other answers
for 30 seconds. \`cached.at\` is the time of the answer. Identical look-ups at the same time are one call upstream. \`?raw=true\`
adds the source's own answer (vulnerabilities, compliance, remediations), parsed and without secrets. Every look-up answers
within 100 seconds. Letter case in the id of a session or a definition does not count.

A definition has the reason \`scan-kind-retired\` when it scans Windows devices and has not run since 18 December 2025: Defender
no longer scans them, and no new session comes.

In \`npm start\` there is one scan of each kind to try. Tenable: 101 has four runs, 102 is running, 105 aborted, 108 never ran, 109 is
imported, 111 archived, 114 a web-app scan, 116 has 2,000 hosts, 118 is over three minutes after the start, 999 does not exist. Defender:
\`GET /api/scan-history/defender/definitions\` lists the scans; sessions are \`01decc497f4b4ec49a5fc4e12597f8c8\`, the same with \`02…\`
(partial) and with \`03…\` (failed).`,
  },
  { title: 'Tickets', tags: ['continue', 'tickets'] },
]

/** Facts about a route that its schemas do not hold. */
export const notes: Record<string, string> = {
  'GET /api/health': 'Anyone may ask, so the answer has no detail.',
  'GET /api/status':
    'Names everything that is wrong, since when, why, and what to do about it: `problems` has errors and warnings, each once with what follows from it, `notices` what is good to know; [operate.md](operate.md#problems) has each code. It reads for at most 8 seconds and says what it could not read. `preflight=true` first checks whether each flow can run, see [Preflight](deploy.md#preflight).',
  'POST /api/av-health/exports': 'An empty body is `{}`.',
  'GET /api/changes/{resource}/items/{id}':
    'An id that is not in the working set is asked for at Defender; an instance keeps that answer for 20 seconds.',
  'GET /api/changes/{resource}/items/{id}/wait':
    '`timeoutMinutes` is 1 to 10,080 (seven days). An unknown id is waited for too, since Defender may not list it yet; after two minutes the `Location` answers 404. A new request to this address is a new wait, which answers 202 again. With `failOn=Failed,TimeOut,Cancelled` an item that ended so is answered with 409 `action-failed` and the `item`, so that a workflow fails; the `Location` keeps it in mind. An instance asks Defender for the same unknown id at most every 20 seconds, for all callers.',
  'POST /api/changes/{resource}/check':
    'Requests at the same time share one poll. After 20 seconds the answer is 202.',
  'GET /api/events':
    '`after` continues after a page, `since` begins at a time: send one of the two. Without `stream` the answer has `machine-actions` and `investigations`, or with `type` the stream of this type; `av-health` and `operations` are there only for callers who name them or a type of theirs. A `type` that `stream` cannot have is refused. `itemId` is the own id of an item: an alert id finds nothing here, `GET /api/changes/investigations/items/{id}` takes it.',
  'GET /api/events/trigger':
    'A `Location` is valid until 30 days after its last use, and for 180 days at most. The trigger begins with the next event, not with old ones: an `after` from before its start is refused, and so is one of a stream that it does not read. Streams are as in `GET /api/events`.',
  'POST /api/subscriptions':
    'There can be 200 subscriptions. A callback URL that is subscribed already gets the filter, description and end of the new request, also where it leaves them out, and is enabled; the answer is 200 with a new `Location`, without a secret. Callback URLs are the same when origin, path and parameters are: the order and percent encoding of the parameters, needless encoding in the path, and the signature of a signed URL (`sig`, `sv`, `sp`, `se`, `st`, `sr`, `spr`) do not count; the URL of the last request is used. DELETE of the `Location` deletes the subscription and needs no key; the `Location`s of the last five requests are valid until then.',
  'PATCH /api/subscriptions/{id}':
    'Keeps the id, the signing secret, pending and dead deliveries, and the counters. Null removes description, end, headers or audience; what is left out stays. `filter` replaces the whole filter; an empty list in it counts as left out, so `{"filter": {}}` passes what a new subscription without a filter gets. `kind` cannot be changed: it is a short form of `filter.types`, which can. A move to another host drops headers and audience unless they are given again: `dropped` names them. What is pending goes to the new address when it is due; [recover](#post-apisubscriptionsidrecover) does not wait for that.',
  'POST /api/subscriptions/unsubscribe':
    'Callback URLs are compared as in `POST /api/subscriptions`. `deleted` is 0 or 1.',
  'GET /api/event-types':
    'The samples are made by the code that makes the events. The answer changes only with the version of the app.',
  'GET /api/subscriptions/{id}':
    '`pausedUntil` is the end of a [pause](logic-apps.md#delivery) of the whole subscription, null without one. `lastDeliveredAt` may be a minute old; test posts do not change it. `from` has the last event of each stream that is not delivered.',
  'POST /api/subscriptions/{id}/enable':
    'Also ends a [pause](logic-apps.md#delivery) of the subscription. Any other subscription stays as it is.',
  'POST /api/subscriptions/{id}/test':
    'Is posted in a pause too, and does not end it. `answer` is as in the attempts of a delivery.',
  'POST /api/subscriptions/{id}/rotate-secret':
    'At most five earlier secrets sign at the same time; then the answer is 409 until the first one ends.',
  'GET /api/subscriptions/{id}/deliveries':
    'Delivered ones are listed for three days, dead ones as long as their event is stored. `nextAttemptAt` is never before the end of a pause of the subscription, and null while that is disabled.',
  'GET /api/subscriptions/{id}/deliveries/{eventId}':
    '`attempts` are the last 20, of all generations. `answer` has the first 200 characters of a failed attempt, or of a post that somebody asked for, where the receiver answered in text or JSON, without what looks like a secret. It is only `[hidden]` and the length where posts have headers or a token, or the text repeats the callback URL: a receiver may repeat a secret in any form. It is stored in the secrets account for seven days. Neither lists, events, logs nor the tools for assistants have it.',
  'POST /api/subscriptions/{id}/deliveries/{eventId}/resend':
    'Begins a new generation of the delivery, also of one that was delivered. A disabled subscription is refused with 409.',
  'POST /api/subscriptions/{id}/recover':
    'Begins again what is not delivered and whose last attempt failed at `since` or later. One replay or recovery runs at a time. A pause of the subscription stays.',
  'POST /api/subscriptions/{id}/replay':
    'Send either `after` or `dead`. A disabled subscription is refused with 409. A pause of the subscription stays: what is queued waits for its end.',
  'GET /api/scan-history/defender/sessions':
    'For example `sessions?id=a&id=b`. 404 only when no session of them exists.',
  'GET /api/scan-history/tenable/scans/{id}/status':
    '`over` says whether the latest run is over. It stays false for a scan that never ran.',
  'GET /api/continue': 'The address is made by the app. Do not build it yourself.',
  'DELETE /api/continue':
    'Only the `Location` of `POST /api/subscriptions` takes it. Other tickets open nothing here, and its ticket opens nothing else. A body is not read.',
  'POST /api/tickets/revoke':
    'Also ends the `Location`s of subscriptions; the subscriptions stay. `revoked` counts these too, and tickets that have ended but are not deleted yet, so it may be more than `status` counts. Change the key first, see [When a key has leaked](operate.md#when-a-key-has-leaked).',
}
