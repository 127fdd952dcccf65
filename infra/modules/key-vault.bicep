// The vault for the OAuth secrets. Roles alone open it, and every reading is logged.

@description('Name of the vault.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Whether the vault refuses to be purged before its retention ends.')
param purgeProtection bool

@description('Days for which the vault keeps what was deleted.')
param retentionDays int

@description('Resource id of the Log Analytics workspace that gets the audit log.')
param logAnalyticsWorkspaceId string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
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
