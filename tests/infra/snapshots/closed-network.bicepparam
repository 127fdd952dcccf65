using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param subnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-app'

param privateEndpointSubnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-pe'

param privateDnsZoneResourceGroupId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns'

param publicNetworkAccess = 'Disabled'

param allowedIpRanges = ['192.0.2.0/24']

param storageTableAccess = true

param deleteLock = true

param keyVaultPurgeProtection = false

param alertWebhook = 'https://hooks.contoso.com/oncall'

param tags = { owner: 'platform' }

param runbookUrl = 'https://wiki.contoso.com/git-refresh/operations'
