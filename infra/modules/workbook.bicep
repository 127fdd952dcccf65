// The dashboard: Application Insights, Workbooks.

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Resource id of the Application Insights component that it shows.')
param applicationInsightsId string

// Where it looks when it is opened from elsewhere than the component.
var content = union(loadJsonContent('../workbook.json'), { fallbackResourceIds: [applicationInsightsId] })

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(applicationInsightsId, 'git-refresh')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Databricks Git refresh'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: applicationInsightsId
    serializedData: string(content)
  }
}
