// The vault for the OAuth secrets. Roles alone open it, and every reading is logged.

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Whether the vault refuses to be purged before its retention ends.')
param purgeProtection bool

@description('Days for which the vault keeps what was deleted.')
param retentionDays int

@description('Resource id of the Log Analytics workspace that gets the audit log.')
param logAnalyticsWorkspaceId string

@description('Ending of all names.')
param token string

@description('Resource id of the subnet for a private endpoint. Empty: reachable from all networks, with a role.')
param privateEndpointSubnetId string

@description('Resource id of the resource group with the private DNS zones, or empty.')
param privateDnsZoneResourceGroupId string

@description('Whether to refuse that it is deleted.')
param deleteLock bool

var isPrivate = !empty(privateEndpointSubnetId)

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    // The service knows only "true" and "not said": it refuses false.
    enablePurgeProtection: purgeProtection ? true : null
    softDeleteRetentionInDays: retentionDays
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

// After an incident this is the question: who has read the secret?
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: logAnalyticsWorkspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  name: 'git-refresh'
  scope: vault
  properties: { level: 'CanNotDelete' }
}

module endpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'git-refresh-private-vault-${token}'
  params: {
    token: token
    location: location
    tags: tags
    subnetId: privateEndpointSubnetId
    targetId: vault.id
    service: 'vault'
    dnsZoneResourceGroupId: privateDnsZoneResourceGroupId
  }
}
