// The app's settings. In the app's own deployment they would take away all that are not in the template.

import { deployed } from 'settings.bicep'

@description('Name of the function app.')
param appName string

@description('Name of the Application Insights component.')
param applicationInsightsName string

@description('The settings that the app has now.')
@secure()
#disable-next-line use-user-defined-types // secure, so Bicep knows no more of it
param existing object

@description('Settings for an app that has none of the name.')
param initial { *: string }

@description('The settings that this deployment was given.')
param given { *: string }

@description('The settings that are always the template\'s.')
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
