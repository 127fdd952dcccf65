using '../../../infra/main.bicep'
extends 'queue.bicepparam'

param refreshIntervalMinutes = 60
