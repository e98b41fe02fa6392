@description('A part of each rule\'s name: another installation in the same group has its own rules.')
param name string
param location string
param tags object

@description('Resource id of the Application Insights component that the queries read.')
param insightsId string

@description('Resource id of the identity that the rules read the logs with.')
param identityId string

param actionGroupName string

@description('Address that alerts are mailed to, or empty.')
param alertEmail string

@description('Resource id of another action group, or empty.')
param actionGroupId string

// One entry for each rule. The queries are in files: the tests evaluate them over the lines that the app logs.
var rules = [
  {
    name: 'no-poll-machine-actions'
    displayName: 'defender-relay: no successful poll of machine actions for 15 minutes'
    query: loadTextContent('../queries/no-poll-machine-actions.kql')
    severity: 1
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'no-poll-investigations'
    displayName: 'defender-relay: no successful poll of investigations for 15 minutes'
    query: loadTextContent('../queries/no-poll-investigations.kql')
    severity: 1
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'no-snapshot'
    displayName: 'defender-relay: no snapshot published for 36 hours'
    query: loadTextContent('../queries/no-snapshot.kql')
    severity: 2
    evaluationFrequency: 'PT1H'
    windowSize: 'P2D'
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'failed-run'
    displayName: 'defender-relay: an export run failed'
    query: loadTextContent('../queries/failed-run.kql')
    severity: 2
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'dead-letters'
    displayName: 'defender-relay: deliveries are dead'
    query: loadTextContent('../queries/dead-letters.kql')
    severity: 2
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'failing-subscription'
    displayName: 'defender-relay: a subscription fails or is disabled'
    query: loadTextContent('../queries/failing-subscription.kql')
    severity: 2
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'rejects'
    displayName: 'defender-relay: rows of an upstream could not be read'
    query: loadTextContent('../queries/rejects.kql')
    severity: 3
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'missing-items'
    displayName: 'defender-relay: Defender does not know many open items at once'
    query: loadTextContent('../queries/missing-items.kql')
    severity: 2
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'upstream-unreachable'
    displayName: 'defender-relay: an upstream does not answer'
    query: loadTextContent('../queries/upstream-unreachable.kql')
    severity: 1
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'budget-exhausted'
    displayName: 'defender-relay: the calls of an upstream are used up'
    query: loadTextContent('../queries/budget-exhausted.kql')
    severity: 3
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'endpoint-retirement'
    displayName: 'defender-relay: an endpoint is retired or will be'
    query: loadTextContent('../queries/endpoint-retirement.kql')
    severity: 1
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
  }
]

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'relay'
    enabled: true
    emailReceivers: [
      {
        name: 'mail'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'alert-${name}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    identity: {
      type: 'UserAssigned'
      userAssignedIdentities: { '${identityId}': {} }
    }
    properties: {
      displayName: rule.displayName
      severity: rule.severity
      enabled: true
      scopes: [insightsId]
      evaluationFrequency: rule.evaluationFrequency
      windowSize: rule.windowSize
      autoMitigate: true
      // A new workspace does not have its tables yet.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: concat(empty(alertEmail) ? [] : [mail.id], empty(actionGroupId) ? [] : [actionGroupId])
      }
    }
  }
]
