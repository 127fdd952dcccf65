using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param identities = [
  { name: 'finance', readsSecrets: false }
  { name: 'research', readsSecrets: true }
  { name: 'a-name-of-20-letters', readsSecrets: false }
]
