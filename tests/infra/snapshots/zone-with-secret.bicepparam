using '../../../infra/main.bicep'
extends 'zones.bicepparam'

param grantKeyVaultAccess = false
