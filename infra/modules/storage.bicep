// The platform's own storage: the timer's lock, the published code, and with a queue the slices of a run. No key opens it.

@description('Name of the storage account.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Ending of all names.')
param token string

@description('Whether the host may keep its own events in a table, which then has a private endpoint, too.')
param tableAccess bool

@description('Whether runs are done in slices: their queue, and the claims on them.')
param usesQueue bool

@description('Resource id of the Log Analytics workspace that gets the log of writing and deleting.')
param logAnalyticsWorkspaceId string

@description('Resource id of the subnet for private endpoints. Empty: reachable from all networks, with a role.')
param privateEndpointSubnetId string

@description('Resource id of the resource group with the private DNS zones, or empty.')
param privateDnsZoneResourceGroupId string

@description('Whether to refuse that it is deleted.')
param deleteLock bool

// Of the queue and of the container: git_refresh knows them by this name.
var slicesName = 'git-refresh-slices'

var oldVersions = {
  name: 'old-versions'
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'] }
    actions: {
      version: {
        delete: { daysAfterCreationGreaterThan: 30 }
      }
    }
  }
}
// Nobody asks for a claim once its run is over. Its versions go with it.
var oldClaims = {
  name: 'old-claims'
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: ['blockBlob']
      prefixMatch: ['${slicesName}/']
    }
    actions: {
      baseBlob: {
        delete: { daysAfterModificationGreaterThan: 1 }
      }
      version: {
        delete: { daysAfterCreationGreaterThan: 1 }
      }
    }
  }
}

var isPrivate = !empty(privateEndpointSubnetId)

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    isLocalUserEnabled: false
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'None'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  // What was published before can be got back, and what somebody has overwritten can be compared.
  properties: { isVersioningEnabled: true }
}

resource ageing 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: usesQueue ? [oldVersions, oldClaims] : [oldVersions]
    }
  }
  dependsOn: [blobs]
}

// Who has published, or touched what was published? Not who has read: the code is no secret.
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: blobs
  properties: {
    workspaceId: logAnalyticsWorkspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobs
  name: 'app-package'
  properties: { publicAccess: 'None' }
}

resource claims 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = if (usesQueue) {
  parent: blobs
  name: slicesName
  properties: { publicAccess: 'None' }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' = if (usesQueue) {
  parent: account
  name: 'default'
}

// Records each message that is put on the queue, changed, deleted or cleared, and by which identity. Without StorageRead: the host asks for
// messages all the time, and each of its requests would be a record.
resource queueAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (usesQueue) {
  name: 'audit'
  scope: queues
  properties: {
    workspaceId: logAnalyticsWorkspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource slices 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = if (usesQueue) {
  parent: queues
  name: slicesName
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (deleteLock) {
  name: 'git-refresh'
  scope: account
  properties: { level: 'CanNotDelete' }
}

module blobEndpoint 'private-endpoint.bicep' = if (isPrivate) {
  name: 'git-refresh-private-blob-${token}'
  params: {
    token: token
    location: location
    tags: tags
    subnetId: privateEndpointSubnetId
    targetId: account.id
    service: 'blob'
    dnsZoneResourceGroupId: privateDnsZoneResourceGroupId
  }
}

module queueEndpoint 'private-endpoint.bicep' = if (isPrivate && usesQueue) {
  name: 'git-refresh-private-queue-${token}'
  params: {
    token: token
    location: location
    tags: tags
    subnetId: privateEndpointSubnetId
    targetId: account.id
    service: 'queue'
    dnsZoneResourceGroupId: privateDnsZoneResourceGroupId
  }
}

module tableEndpoint 'private-endpoint.bicep' = if (isPrivate && tableAccess) {
  name: 'git-refresh-private-table-${token}'
  params: {
    token: token
    location: location
    tags: tags
    subnetId: privateEndpointSubnetId
    targetId: account.id
    service: 'table'
    dnsZoneResourceGroupId: privateDnsZoneResourceGroupId
  }
}

@description('Where the published code is put.')
output deploymentContainerUrl string = '${account.properties.primaryEndpoints.blob}${container.name}'
