// The alerts. docs/runbook.md says what to do when one fires.

import { waitsForList } from 'settings.bicep'

@description('Ending of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Resource id of the Application Insights component that is queried.')
param applicationInsightsId string

@description('Resource id of the Log Analytics workspace behind it.')
param logAnalyticsWorkspaceId string

@description('Minutes between two runs.')
@allowed([15, 30, 60])
param refreshIntervalMinutes int

@description('The app setting FAN_OUT.')
@allowed(['off', 'queue'])
param fanOut string

@description('E-mail address to tell, or empty.')
param email string

@description('Address to call with the common alert schema, or empty.')
@secure()
param webhook string

@description('Resource id of an existing action group to tell, or empty.')
param existingActionGroupId string

@description('Address of the runbook, or empty.')
param runbookUrl string

@description('The settings that the app has now.')
@secure()
#disable-next-line use-user-defined-types // secure, so Bicep knows no more of it
param existingSettings object

@description('The settings that this deployment was given.')
param givenSettings { *: string }

// The service takes only certain lengths of time, so they are written out. A row may arrive 18 minutes after its time: a request has
// the time at which a run began, which takes up to 10 minutes, and then up to 8 pass before it can be queried. So a window that
// always has a run is longer than an interval and 19 minutes, one with two than two and 19. tests/infra/test_alert_times.py tries it.
// With slices a run lasts until the next one at most. The timer's line and one of a slice show that there was a run, so aRun is long enough if
// its first slice begins within 11 minutes; a whole run is seen in two intervals and 8 minutes, so twoRuns is, too: test_slice_alerts.py.
var windows = {
  '15': { aRun: 'PT45M', twoRuns: 'PT1H' }
  '30': { aRun: 'PT1H', twoRuns: 'PT2H' }
  '60': { aRun: 'PT2H', twoRuns: 'PT3H' }
}
var aRun = windows[string(refreshIntervalMinutes)].aRun
var twoRuns = windows[string(refreshIntervalMinutes)].twoRuns
var intervalSeconds = string(refreshIntervalMinutes * 60)
// Looking more often costs more.
var often = 'PT15M'

// There is an alert, and a mail, for each pair of their values; its metric value is the number of workspaces.
var failures = ['workspace', 'code']

// Every threshold, window and severity, and nothing elsewhere. A rule fires when the number of rows that its query finds in
// the window, or of workspaces in them, compares so to the threshold. A stateful rule tells once and is resolved by itself; another tells at every look.
var always = [
  {
    name: 'run-failed'
    title: 'git-refresh: a run failed'
    section: 'A run failed'
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
    // The dangerous one: nothing is red, nothing is logged, and all tokens run out. No rows count as 0, so silence fires it.
    name: 'no-run'
    title: 'git-refresh: no run'
    description: 'Is the function enabled, the app started, its storage reachable?'
    section: 'No run'
    severity: 1
    query: loadTextContent('../queries/alerts/no-run.kql')
    operator: 'LessThan'
    threshold: 1
    window: aRun
    every: often
    stateful: true
  }
  {
    // Apart from no-run, so that one workspace that fails for days does not keep the dangerous one from being told.
    name: 'no-successful-run'
    title: 'git-refresh: two runs or more, and no successful one'
    description: 'It did not go away by itself.'
    section: 'No successful run'
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
    title: 'git-refresh: the token ends before the next run'
    description: 'The stored token lives for less than the interval between two runs.'
    section: 'Token ends too soon'
    severity: 2
    query: replace(loadTextContent('../queries/alerts/token-expires-too-soon.kql'), 'INTERVAL_SECONDS', intervalSeconds)
    operator: 'GreaterThan'
    threshold: 0
    window: aRun
    every: often
    stateful: true
  }
  {
    // The app warns from 30 days ahead. Told anew every day, until the secret is rotated.
    name: 'secret-expires-soon'
    title: 'git-refresh: an OAuth secret is near its end'
    section: 'Secret ends soon'
    severity: 3
    query: loadTextContent('../queries/alerts/secret-expires-soon.kql')
    operator: 'GreaterThan'
    threshold: 0
    window: 'P1D'
    every: 'P1D'
    stateful: false
  }
  {
    // Nothing is logged any more until the workspace's next day, so of the other rules only no-run fires.
    name: 'log-cap-reached'
    title: 'git-refresh: the log workspace takes no more today'
    description: 'Alerts are blind until tomorrow.'
    section: 'Log cap reached'
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
    // By its log lines, not by the red invocation: the lines name slice and workspace, and a worker that died is tried again.
    name: 'slice-failed'
    title: 'git-refresh: a slice of a run failed'
    description: 'Each row is a slice, or a workspace in it.'
    section: 'A slice failed'
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
    // A workspace of the list that has no line of its own when its run's time is over. The query waits ten minutes for lines to arrive.
    name: 'slice-not-completed'
    title: 'git-refresh: a slice of a run never ended'
    description: 'Each row is a workspace that is missing.'
    section: 'A slice never ended'
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
    title: 'git-refresh: a slice was given up, since nothing could even start'
    description: 'A message went to the poison queue.'
    section: 'Poison queue'
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

// A heading's anchor is added: behind a "#", or to an address that ends with "#" or "=".
func runbook(url string, section string) string =>
  empty(url)
    ? 'See "${section}" in docs/runbook.md.'
    : 'Runbook: ${url}${endsWith(url, '#') || endsWith(url, '=') ? '' : '#'}${toLower(replace(section, ' ', '-'))}'

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
      description: trim('${rule.?description ?? ''} ${runbook(runbookUrl, rule.section)}')
      severity: rule.severity
      // Quiet until the app has its first list: git-refresh deploy turns them on.
      enabled: !waitsForList(existingSettings, givenSettings)
      // The component, not the workspace behind it: only there the tables have the names that the queries use.
      scopes: [rule.name == 'log-cap-reached' ? logAnalyticsWorkspaceId : applicationInsightsId]
      evaluationFrequency: rule.every
      windowSize: rule.window
      autoMitigate: rule.stateful
      // On the first deployment the workspace has no tables yet, and a query that names one would be refused.
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
