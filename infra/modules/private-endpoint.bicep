// Private endpoint of one service in an existing subnet, registered in an existing private DNS zone.

@description('Suffix of all names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags { *: string }

@description('Resource ID of the subnet for the private endpoint.')
param subnetId string

@description('Resource ID of the target resource.')
param targetId string

@description('Service of the target resource.')
@allowed(['blob', 'queue', 'table', 'vault'])
param service string

@description('Resource ID of the resource group with the private DNS zones, or empty.')
param dnsZoneResourceGroupId string

var zones = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  queue: 'privatelink.queue.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  vault: 'privatelink.vaultcore.azure.net'
}

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: 'pep-git-refresh-${service}-${token}'
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: service
        properties: {
          privateLinkServiceId: targetId
          groupIds: [service]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = if (!empty(dnsZoneResourceGroupId)) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service
        properties: {
          privateDnsZoneId: resourceId(
            split(dnsZoneResourceGroupId, '/')[2],
            split(dnsZoneResourceGroupId, '/')[4],
            'Microsoft.Network/privateDnsZones',
            zones[service]
          )
        }
      }
    ]
  }
}
