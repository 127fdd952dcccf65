// Alert rules. docs/runbook.md has a section for each, with the rule's name as its heading.

import { waitsForList } from 'settings.bicep'

@description('Suffix of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Resource ID of the Application Insights component that the rules query.')
param applicationInsightsId string

@description('Resource ID of the Log Analytics workspace of that component.')
param logAnalyticsWorkspaceId string

@description('Minutes between two runs.')
@allowed([15, 30, 60])
param refreshIntervalMinutes int

@description('The app setting FAN_OUT.')
@allowed(['off', 'queue'])
param fanOut string

@description('Email address for notifications, or empty.')
param email string

@description('URL for notifications in the common alert schema, or empty.')
@secure()
param webhook string

@description('Resource ID of an existing action group for notifications, or empty.')
param existingActionGroupId string

@description('URL of the runbook, or empty.')
param runbookUrl string

@description('App settings that the app has now.')
@secure()
#disable-next-line use-user-defined-types // a secure object has no user-defined type
param existingSettings object

@description('App settings that this deployment sets.')
param givenSettings { *: string }

// The service takes only these lengths. A row can arrive 18 minutes after its time: a run takes up to 10, ingestion up to 8.
// So one run needs an interval + 19 minutes, and two need two intervals + 19. tests/infra/test_alert_times.py holds it.
var windows = {
  '15': { aRun: 'PT45M', twoRuns: 'PT1H' }
  '30': { aRun: 'PT1H', twoRuns: 'PT2H' }
  '60': { aRun: 'PT2H', twoRuns: 'PT3H' }
}
var aRun = windows[string(refreshIntervalMinutes)].aRun
var twoRuns = windows[string(refreshIntervalMinutes)].twoRuns
var intervalSeconds = string(refreshIntervalMinutes * 60)
// A higher frequency costs more.
var often = 'PT15M'

// Each pair of values has its own alert and email. The metric value is the number of workspaces.
var failures = ['workspace', 'code']

// A rule fires when the number of rows, or of workspaces in them, compares so to the threshold.
// A stateful rule notifies once and resolves itself. Another rule notifies at every evaluation.
var always = [
  {
    name: 'run-failed'
    title: 'git-refresh: a run failed'
    description: 'A workspace failed, a run failed as a whole, or the platform stopped a run.'
    severity: 2
    query: loadTextContent('../queries/alerts/run-failed.kql')
    dimensions: failures
    operator: 'GreaterThan'
    threshold: 0
    window: twoRuns
    every: often
    stateful: true
  }
  {
    // No rows count as 0, so silence fires this rule.
    name: 'no-run'
    title: 'git-refresh: no run'
    description: 'No run ended in the time window.'
    severity: 1
    query: loadTextContent('../queries/alerts/no-run.kql')
    operator: 'LessThan'
    threshold: 1
    window: aRun
    every: often
    stateful: true
  }
  {
    // Separate from no-run: a rule that has fired stays silent, and one failing workspace would hide that the timer stopped.
    name: 'no-successful-run'
    title: 'git-refresh: no successful run'
    description: 'Two or more runs ended in the time window, and none succeeded.'
    severity: 1
    query: replace(loadTextContent('../queries/alerts/no-successful-run.kql'), 'INTERVAL_SECONDS', intervalSeconds)
    operator: 'GreaterThan'
    threshold: 0
    window: twoRuns
    every: often
    stateful: true
  }
  {
    name: 'token-expires-too-soon'
    title: 'git-refresh: a token expires before the next run'
    description: 'A stored token expires before the next run.'
    severity: 2
    query: replace(loadTextContent('../queries/alerts/token-expires-too-soon.kql'), 'INTERVAL_SECONDS', intervalSeconds)
    operator: 'GreaterThan'
    threshold: 0
    window: aRun
    every: often
    stateful: true
  }
  {
    name: 'secret-expires-soon'
    title: 'git-refresh: an OAuth secret expires within 30 days'
    description: 'An OAuth secret expires within 30 days. The alert repeats every day until you rotate it.'
    severity: 3
    query: loadTextContent('../queries/alerts/secret-expires-soon.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'P1D'
    every: 'P1D'
    stateful: false
  }
  {
    name: 'log-cap-reached'
    title: 'git-refresh: Log Analytics daily cap reached'
    description: 'The log workspace reached its daily cap. Until its next day, only no-run can fire.'
    severity: 1
    query: loadTextContent('../queries/alerts/log-cap-reached.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT1H'
    every: often
    stateful: true
  }
]
var withQueue = [
  {
    // Log lines name slice and workspace. A failed invocation does not, and the host retries one whose worker crashed.
    name: 'slice-failed'
    title: 'git-refresh: a slice failed'
    description: 'A workspace in a slice failed, or the app abandoned a slice.'
    severity: 2
    query: loadTextContent('../queries/alerts/slice-failed.kql')
    dimensions: failures
    operator: 'GreaterThan'
    threshold: 0
    window: twoRuns
    every: often
    stateful: true
  }
  {
    name: 'slice-not-completed'
    title: 'git-refresh: a slice did not complete'
    description: 'A workspace was not processed before the next run was due.'
    severity: 2
    query: loadTextContent('../queries/alerts/slice-not-completed.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: twoRuns
    every: often
    stateful: true
  }
  {
    name: 'poison-queue'
    title: 'git-refresh: message on the poison queue'
    description: 'A message went to the poison queue because refresh_slice could not start.'
    severity: 2
    query: loadTextContent('../queries/alerts/poison-queue.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: aRun
    every: often
    stateful: true
  }
]
var rules = fanOut == 'queue' ? concat(always, withQueue) : always

// The anchor is the rule's name, after a "#" or a URL that ends with "#" or "=".
func runbook(url string, rule string) string =>
  empty(url)
    ? 'See docs/runbook.md#${rule}'
    : 'Runbook: ${url}${endsWith(url, '#') || endsWith(url, '=') ? '' : '#'}${rule}'

var createsActionGroup = (!empty(email) || !empty(webhook)) && empty(existingActionGroupId)
var actionGroupIds = !empty(existingActionGroupId)
  ? [existingActionGroupId]
  : createsActionGroup ? [actionGroup.id] : []

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = if (createsActionGroup) {
  name: 'ag-git-refresh-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'gitrefresh'
    emailReceivers: empty(email)
      ? []
      : [
          {
            name: 'oncall'
            emailAddress: email
            useCommonAlertSchema: true
          }
        ]
    webhookReceivers: empty(webhook)
      ? []
      : [
          {
            name: 'oncall'
            serviceUri: webhook
            useCommonAlertSchema: true
          }
        ]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'ar-git-refresh-${rule.name}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: '${rule.description} ${runbook(runbookUrl, rule.name)}'
      severity: rule.severity
      // git-refresh deploy enables the rules with the app's first list.
      enabled: !waitsForList(existingSettings, givenSettings)
      // Tables have the names that the queries use only in the component.
      scopes: [rule.name == 'log-cap-reached' ? logAnalyticsWorkspaceId : applicationInsightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: rule.stateful
      // A new workspace has no tables, so validation would refuse the queries.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            ...(contains(rule, 'dimensions')
              ? {
                  timeAggregation: 'Total'
                  metricMeasureColumn: 'workspaces'
                  dimensions: map(rule.dimensions, name => { name: name, operator: 'Include', values: ['*'] })
                }
              : { timeAggregation: 'Count' })
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: { actionGroups: actionGroupIds }
    }
  }
]
