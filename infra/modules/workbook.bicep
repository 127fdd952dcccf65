// Workbook in Application Insights.

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Name of the Application Insights component.')
param applicationInsightsName string

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

// The component that the workbook queries if it is opened outside of a component.
var content = union(loadJsonContent('../workbook.json'), { fallbackResourceIds: [insights.id] })

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insights.id, 'git-refresh')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Databricks Git refresh'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: insights.id
    serializedData: string(content)
  }
}
