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

// One rule for each severity, over all codes. The queries are in files: the tests evaluate them over the lines that the
// app logs.
var rules = [
  {
    name: 'errors'
    displayName: 'defender-relay: a part of the app does not work, or the app has stopped'
    query: loadTextContent('../queries/errors.kql')
    severity: 1
  }
  {
    name: 'warnings'
    displayName: 'defender-relay: somebody should act'
    query: loadTextContent('../queries/warnings.kql')
    severity: 2
  }
  {
    name: 'notices'
    displayName: 'defender-relay: an upstream sent what could not be read'
    query: loadTextContent('../queries/notices.kql')
    severity: 3
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
      // The app logs its problems each five minutes. A rule that is evaluated more often costs three times as much.
      evaluationFrequency: 'PT15M'
      windowSize: 'PT15M'
      autoMitigate: true
      // A new workspace does not have its tables yet.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
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
