using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param grantKeyVaultAccess = false

param alertEmail = ''

param noRecipient = true
