// Where the log lines go. Entra tokens only: neither store takes a key.

@description('Ending of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Object id of the app\'s identity.')
param principalId string

@description('Days to keep logs.')
param logRetentionDays int

@description('Most gigabytes of logs that are taken in a day.')
param logDailyCapGb int

// Monitoring Metrics Publisher: sending telemetry, and nothing else.
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-git-refresh-${token}'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
    workspaceCapping: { dailyQuotaGb: logDailyCapGb }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-git-refresh-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
    WorkspaceResourceId: logs.id
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

@description('Name of the Application Insights component.')
output applicationInsightsName string = insights.name

@description('Resource id of the Application Insights component.')
output applicationInsightsId string = insights.id

@description('Resource id of the Log Analytics workspace.')
output logAnalyticsWorkspaceId string = logs.id
