using '../../../infra/main.bicep'
extends 'closed-network.bicepparam'

param fanOut = 'queue'

param maximumInstanceCount = 3

// A policy registers the private endpoints.
param privateDnsZoneResourceGroupId = ''

param alertEmail = ''
