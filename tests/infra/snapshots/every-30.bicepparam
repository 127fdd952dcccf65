using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param refreshIntervalMinutes = 30

// Every setting is given here.
param trustedHosts = '.contoso.com'

param refreshConcurrency = 16

param refreshTimeoutSeconds = 300
