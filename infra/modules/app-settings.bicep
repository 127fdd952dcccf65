// App settings as a separate resource. In the resource of the app, they would delete all settings that the template lacks.

import { deployed } from 'settings.bicep'

@description('Name of the function app.')
param appName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('Current app settings.')
@secure()
#disable-next-line use-user-defined-types // a secure object has no type
param existing object

@description('App settings to add if they are missing.')
param initial { *: string }

@description('App settings from parameters.')
param given { *: string }

@description('App settings that each deployment sets.')
param always { *: string }

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(deployed(existing, initial, given, always), {
      APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    })
  }
}
