// The function app and its plan. Flex Consumption allows one app per plan.

@description('Name of the function app.')
param name string

@description('Suffix of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Resource ID of the app identity.')
param identityId string

@description('Resource IDs of the additional identities, one for each trust zone.')
param zoneIdentityIds string[]

@description('URL of the blob container for the published code.')
param deploymentContainerUrl string

@description('Resource ID of the Application Insights component.')
param applicationInsightsId string

@description('Maximum number of instances.')
param maximumInstanceCount int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Resource ID of the subnet for outbound traffic, or empty.')
param subnetId string

@description('Access to the app from public networks.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

@description('CIDR ranges that can reach the app. Empty: all.')
param allowedIpRanges string[]

@description('Locks the resource against deletion.')
param deleteLock bool

// Code + Test in the portal calls the app from the browser.
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
  // azd finds the app by the first tag. The portal and git-refresh runs find the logs by the second.
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
    // On this plan, all outbound traffic uses the subnet without a further setting.
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
    // This plan rejects or ignores ftpsState, alwaysOn, linuxFxVersion and vnetRouteAllEnabled.
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

// Publishing requires an Entra token. This plan has no FTP, so a policy for it fails the deployment.
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
