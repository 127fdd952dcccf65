// Role assignment of one identity on the vault. A separate module, because the vault can be in another resource group.

@description('Name of the vault in the resource group of this module.')
param name string

@description('Object ID of the identity.')
param principalId string

// Key Vault Secrets User: for reading secrets only.
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, principalId, secretsUser)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}
