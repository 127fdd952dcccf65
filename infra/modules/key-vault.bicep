// The vault for OAuth secrets. Access requires a role, and every read is logged.

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Purge protection of the vault.')
param purgeProtection bool

@description('Days that the vault keeps deleted items.')
param retentionDays int

@description('Resource ID of the Log Analytics workspace for the audit log.')
param logAnalyticsWorkspaceId string

@description('Suffix of all names.')
param token string

@description('Resource ID of the subnet for a private endpoint. Empty: public networks have access, with a role.')
param privateEndpointSubnetId string

@description('Resource ID of the resource group with the private DNS zones, or empty.')
param privateDnsZoneResourceGroupId string

@description('Locks the resource against deletion.')
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
    // The service rejects false, so the property is true or null.
    enablePurgeProtection: purgeProtection ? true : null
    softDeleteRetentionInDays: retentionDays
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

// After an incident, the log shows who read a secret.
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
