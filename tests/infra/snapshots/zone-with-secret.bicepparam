using '../../../infra/main.bicep'
extends 'zones.bicepparam'

param readsSecrets = false
