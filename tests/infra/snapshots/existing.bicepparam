using '../../../infra/main.bicep'
extends 'plain.bicepparam'

param alertEmail = ''

param existingActionGroupId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/oncall/providers/Microsoft.Insights/actionGroups/ag-oncall'

param existingKeyVaultName = 'kv-contoso'

param existingKeyVaultResourceGroup = 'rg-contoso'

param runbookUrl = 'https://dev.azure.com/contoso/platform/_git/git-refresh?path=/docs/runbook.md&anchor='
