// Log storage. Both resources require an Entra token instead of a key.

@description('Suffix of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Days to keep logs.')
param logRetentionDays int

@description('Daily limit of logs in GB.')
param logDailyCapGb int

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
  name: applicationInsightsName
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

@description('Resource ID of the Application Insights component.')
output applicationInsightsId string = insights.id

@description('Resource ID of the Log Analytics workspace.')
output logAnalyticsWorkspaceId string = logs.id
