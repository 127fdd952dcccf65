using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param refreshIntervalMinutes = 30
