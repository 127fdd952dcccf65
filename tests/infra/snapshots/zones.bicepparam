using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param identities = [
  { name: 'finance', grantKeyVaultAccess: false }
  { name: 'research', grantKeyVaultAccess: true }
  { name: 'a-name-of-20-letters', grantKeyVaultAccess: false }
]
