// The function app and its plan. Flex Consumption takes one app per plan.

@description('Name of the function app.')
param name string

@description('Ending of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Resource id of the app\'s identity.')
param identityId string

@description('Resource ids of its further identities, one for each trust zone beside its own.')
param zoneIdentityIds string[]

@description('Blob container for the published code.')
param deploymentContainerUrl string

@description('Resource id of the Application Insights component with its logs.')
param applicationInsightsId string

@description('Most instances at once.')
param maximumInstanceCount int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Resource id of the subnet for outbound traffic, or empty.')
param subnetId string

@description('Whether the app can be reached from public networks.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('IP ranges that alone may reach the app. Empty: all.')
param allowedIpRanges string[]

@description('Whether to refuse that it is deleted.')
param deleteLock bool

// Code + Test calls the app from the browser.
var portal = environment().portal

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-git-refresh-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  // azd finds the app of the service in azure.yaml by the first tag, the portal and git-refresh runs find the logs by the second.
  tags: union(tags, {
    'azd-service-name': 'refresh'
    'hidden-link: /app-insights-resource-id': applicationInsightsId
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: toObject(concat([identityId], zoneIdentityIds), id => id, id => {})
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: publicNetworkAccess
    // On this plan all outbound traffic takes the subnet; there is no setting for it.
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
      }
    }
    // This plan has no FTP, and refuses or ignores ftpsState, alwaysOn, linuxFxVersion, vnetRouteAllEnabled and their like.
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      cors: { allowedOrigins: [portal] }
      ipSecurityRestrictionsDefaultAction: empty(allowedIpRanges) ? 'Allow' : 'Deny'
      ipSecurityRestrictions: [
        for (addresses, index) in allowedIpRanges: {
          name: 'allowed-${index}'
          action: 'Allow'
          ipAddress: addresses
          priority: 100 + index
        }
      ]
      scmIpSecurityRestrictionsUseMain: true
    }
  }
}

// Publishing takes Entra tokens only, no user name and password. No policy for ftp: this plan has no FTP, and one refused resource
// fails the whole deployment.
resource basicPublishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  name: 'git-refresh'
  scope: app
  properties: { level: 'CanNotDelete' }
}

@description('Name of the function app.')
output name string = app.name
