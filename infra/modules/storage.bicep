// Storage account of the app: timer lock, published code and the queue of slices. Key access is disabled.

@description('Name of the storage account.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Suffix of all names.')
param token string

@description('Creates a private endpoint for the table service, for host events.')
param tableAccess bool

@description('Creates the queue of slices and the container for their claims.')
param usesQueue bool

@description('Resource ID of the Log Analytics workspace for the log of writes and deletions.')
param logAnalyticsWorkspaceId string

@description('Resource ID of the subnet for private endpoints. Empty: public networks have access, with a role.')
param privateEndpointSubnetId string

@description('Resource ID of the resource group with the private DNS zones, or empty.')
param privateDnsZoneResourceGroupId string

@description('Locks the resource against deletion.')
param deleteLock bool

// Name of the queue and the container. The code of the app uses the same name.
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
// No run reads the claims of a previous run.
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
  // Versions allow a rollback of published code, and a comparison after tampering.
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

// The log shows who published or changed code. Reads are not logged, because the code is not secret.
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

// The log shows which identity wrote or deleted messages. Without StorageRead, because the host polls the queue all the time.
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

@description('URL of the blob container for the published code.')
output deploymentContainerUrl string = '${account.properties.primaryEndpoints.blob}${container.name}'
