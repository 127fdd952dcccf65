using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param fanOut = 'queue'
