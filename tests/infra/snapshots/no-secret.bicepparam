using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param readsSecrets = false

param alertEmail = ''
