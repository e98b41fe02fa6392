param location string
param tags object

@description('Resource id of the Application Insights component that the queries read.')
param insightsId string

@description('Resource id of the action group that is told, or empty.')
param actionGroupId string

// One entry a rule; the queries stand in files that the tests read.
var rules = [
  {
    name: 'no-poll'
    displayName: 'defender-relay: no successful poll'
    query: loadTextContent('../queries/no-poll.kql')
    severity: 1
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    operator: 'LessThan'
    threshold: 1
  }
]

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.displayName
      severity: rule.severity
      enabled: true
      scopes: [insightsId]
      evaluationFrequency: rule.evaluationFrequency
      windowSize: rule.windowSize
      autoMitigate: true
      // A fresh workspace does not know its tables yet.
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
        actionGroups: empty(actionGroupId) ? [] : [actionGroupId]
      }
    }
  }
]
