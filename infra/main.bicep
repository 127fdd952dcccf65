// Everything that the app needs in Azure, in one resource group. README.md says what, why, and what only a deployment proves.
targetScope = 'resourceGroup'

import { isIdLike, isName, sizeOfArray, sizeOfObject } from 'modules/checks.bicep'

// ---- What the app does: its settings, see docs/configuration.md. A setting without a value here stays as the app has it. ----

@description('The workspaces whose Git credentials are kept fresh: the app setting WORKSPACES. Each a workspace\'s address or an object. Without it, git-refresh deploy sets the list.')
@minLength(1)
#disable-next-line use-user-defined-types // the app checks the list, and reports every mistake
param workspaces array?

@description('What all workspaces share, merged under every entry: the app setting WORKSPACE_DEFAULTS. With workspaces its default is {}.')
#disable-next-line use-user-defined-types
param workspaceDefaults object?

@description('Minutes between two runs. The schedule and the windows of the alerts follow from it.')
@allowed([15, 30, 60])
param refreshIntervalMinutes int = 15

@description('When to run: six fields of NCRONTAB, seconds first, in UTC. It must not leave longer gaps than refreshIntervalMinutes, or the alert on missing runs fires.')
param refreshSchedule string = refreshIntervalMinutes == 60 ? '0 0 * * * *' : '0 */${refreshIntervalMinutes} * * * *'

@description('Comma-separated host names or suffixes that may receive tokens besides those of Azure Databricks, Azure DevOps and Key Vault.')
param trustedHosts string?

@description('Operations at once in one run.')
@minValue(1)
@maxValue(256)
param refreshConcurrency int?

@description('Budget of a run in seconds. functionTimeout in host.json ends a run after 600.')
@minValue(30)
@maxValue(580)
param refreshTimeoutSeconds int?

@description('Whether one run does the whole list (off), or the timer puts slices of it on a queue and several instances refresh them (queue): docs/fan-out.md.')
@allowed(['off', 'queue'])
param fanOut string = 'off'

// ---- Where and how it runs ----

@description('Region of everything that is created. It must offer Flex Consumption.')
param location string = resourceGroup().location

@description('Name of this installation, and value of the tag azd-env-name. Two installations in one resource group need two names.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Tags for everything that is created, besides azd-env-name.')
param tags { *: string } = {}

@description('Most instances of one function at once. A timer needs one. With fanOut queue each refreshes one slice at a time, so this caps the operations that work at once: at most refreshConcurrency times as many.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = fanOut == 'queue' ? 10 : 1

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 512

@description('Resource id of a subnet, delegated to Microsoft.App/environments, to send all outbound traffic through. Empty: no virtual network.')
param subnetId string = ''

@description('Whether the app can be reached from public networks. The app answers nobody, but publishing and a run by hand come this way.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string = 'Enabled'

@description('IP ranges in CIDR notation that alone may reach the app. Empty: all.')
param allowedIpRanges string[] = []

@description('Resource id of a subnet for private endpoints of the storage account and of the vault that is created, which then refuse all public networks. Needs subnetId. Empty: they are reachable from all networks, with a role.')
param privateEndpointSubnetId string = ''

@description('Resource id of the resource group with the private DNS zones privatelink.blob.core.windows.net and privatelink.vaultcore.azure.net (also privatelink.queue.core.windows.net with fanOut queue, and privatelink.table.core.windows.net with storageTableAccess). Empty: a policy of yours registers the private endpoints.')
param privateDnsZoneResourceGroupId string = ''

@description('Whether the host may keep events about itself in a table of the storage account. The app works without.')
param storageTableAccess bool = false

@description('Whether the app, its storage account and the vault that is created cannot be deleted until somebody removes their locks. Needs the right to set locks: Owner or User Access Administrator.')
param deleteLock bool = false

// ---- Who it is ----

@description('A further identity, for the workspaces whose "identity" is its client id: a trust zone of its own.')
@sealed()
type zoneIdentity = {
  @description('What tells it from the others in this installation: letters, digits and hyphens.')
  @minLength(1)
  @maxLength(20)
  name: string

  @description('Whether it may read the vault: only if a workspace of its zone signs in with an OAuth secret.')
  grantKeyVaultAccess: bool
}

@description('Further identities of the app, one for each trust zone beside its own. They get no role but that of grantKeyVaultAccess.')
param identities zoneIdentity[] = []

@description('Whether the app\'s own identity may read the vault. If neither it nor another identity does, there is no vault and no KEY_VAULT_URL.')
param grantKeyVaultAccess bool = true

// ---- Key Vault ----

@description('Name of an existing vault with the permission model Azure role-based access control, in this subscription. Empty: a vault is created.')
param existingKeyVaultName string = ''

@description('Resource group of the existing vault.')
param existingKeyVaultResourceGroup string = resourceGroup().name

@description('Whether the vault that is created refuses to be purged before its retention ends. Cannot be turned off again.')
param keyVaultPurgeProtection bool = true

@description('Days for which the vault that is created keeps what was deleted, itself included. Cannot be changed later.')
@minValue(7)
@maxValue(90)
param keyVaultRetentionDays int = 7

// ---- Monitoring ----

@description('Days to keep logs.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Gigabytes of logs in a day after which Azure takes no more, and an alert says so. A thousand workspaces log about 0.15.')
@minValue(1)
param logDailyCapGb int = 1

@description('E-mail address that the alerts go to.')
param alertEmail string = ''

@description('Address that the alerts are posted to, with the common alert schema. Empty: none.')
@secure()
param alertWebhook string = ''

@description('Resource id of an existing action group that the alerts go to, instead of alertEmail and alertWebhook.')
param existingActionGroupId string = ''

@description('Where docs/runbook.md can be read, for the links in the alerts. Empty: they name the section alone.')
param runbookUrl string = ''

@description('Whether the alerts go to nobody, and are seen in the portal alone. Without this, one of alertEmail, alertWebhook and existingActionGroupId is needed.')
param noRecipient bool = false

// ---- What cannot work is refused before anything is created, all at once. Azure ends the message with a full stop. ----

// The longest texts that Linux hands to the app: docs/configuration.md, How long a list may be.
var longestTexts = [
  { name: 'workspaces', size: sizeOfArray(workspaces ?? []), fits: 131060 }
  { name: 'workspaceDefaults', size: sizeOfObject(workspaceDefaults ?? {}), fits: 131052 }
]
var subnetExample = '/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Network/virtualNetworks/NETWORK/subnets/SUBNET'
var ids = [
  { name: 'subnetId', value: subnetId, example: subnetExample }
  { name: 'privateEndpointSubnetId', value: privateEndpointSubnetId, example: subnetExample }
  {
    name: 'privateDnsZoneResourceGroupId'
    value: privateDnsZoneResourceGroupId
    example: '/subscriptions/ID/resourceGroups/GROUP'
  }
  {
    name: 'existingActionGroupId'
    value: existingActionGroupId
    example: '/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Insights/actionGroups/NAME'
  }
]
var identityNames = map(identities, each => toLower(each.name))
var repeatedNames = filter(identityNames, name => length(filter(identityNames, other => other == name)) > 1)
var problems = concat(
  map(
    filter(longestTexts, each => each.size > each.fits),
    each =>
      '${each.name} has ${each.size} bytes as JSON, and at most ${each.fits} fit into an app setting. Shorten it: see "How long a list may be" in docs/configuration.md'
  ),
  empty(privateEndpointSubnetId) || !empty(subnetId)
    ? []
    : [
        'privateEndpointSubnetId needs subnetId, without which the app cannot reach its storage account. Set subnetId to the resource ID of a subnet that is delegated to Microsoft.App/environments'
      ],
  map(
    filter(ids, each => !empty(each.value) && !isIdLike(each.value, each.example)),
    each => '${each.name} is "${each.value}", which is no such resource ID. Write ${each.example}'
  ),
  map(
    filter(identities, each => !isName(each.name)),
    each => 'identities has the name "${each.name}". Write letters, digits and hyphens only'
  ),
  map(union(repeatedNames, []), name => 'identities has the name "${name}" more than once. Write another name for each identity'),
  isName(existingKeyVaultName)
    ? []
    : [
        'existingKeyVaultName is "${existingKeyVaultName}", which is no name of a vault. Write the name alone, such as kv-contoso'
      ]
)

// The same deployment always finds its own resources again; another group or name gets others.
// Apart from the others: alertWebhook is secure, and no name may depend on it.
var webhook = !empty(alertEmail) || !empty(existingActionGroupId) || noRecipient || !empty(alertWebhook)
  ? alertWebhook
  : fail('no recipient of alerts is named. Set alertEmail, alertWebhook or existingActionGroupId, or noRecipient to true')
var token = empty(problems) ? uniqueString(resourceGroup().id, environmentName) : fail(join(problems, '. '))
var storageAccountName = 'st${token}'
var applicationInsightsName = 'appi-git-refresh-${token}'
var allTags = union(tags, { 'azd-env-name': environmentName })
var keyVaultName = empty(existingKeyVaultName) ? 'kv-${token}' : existingKeyVaultName
var usesKeyVault = grantKeyVaultAccess || !empty(filter(identities, each => (each.grantKeyVaultAccess)))
var keyVaultResourceGroup = empty(existingKeyVaultName) ? resourceGroup().name : existingKeyVaultResourceGroup
var keyVaultUrl = usesKeyVault ? 'https://${keyVaultName}${environment().suffixes.keyvaultDns}' : ''

// ---- The app settings ----

var functionAppName = 'func-git-refresh-${token}'
var existingSettings = '${resourceId('Microsoft.Web/sites', functionAppName)}/config/appsettings'
var givesVault = usesKeyVault && !empty(existingKeyVaultName)
var initial = usesKeyVault && !givesVault ? { KEY_VAULT_URL: keyVaultUrl } : {}
var given = union(
  givesVault ? { KEY_VAULT_URL: keyVaultUrl } : {},
  workspaces == null ? {} : { WORKSPACES: string(workspaces) },
  workspaces == null && workspaceDefaults == null ? {} : { WORKSPACE_DEFAULTS: string(workspaceDefaults ?? {}) },
  trustedHosts == null ? {} : { TRUSTED_HOSTS: trustedHosts! },
  refreshConcurrency == null ? {} : { REFRESH_CONCURRENCY: string(refreshConcurrency) },
  refreshTimeoutSeconds == null ? {} : { REFRESH_TIMEOUT_SECONDS: string(refreshTimeoutSeconds) }
)
var always = {
  REFRESH_SCHEDULE: refreshSchedule
  FAN_OUT: fanOut
  AZURE_CLIENT_ID: identity.properties.clientId
  AzureWebJobsStorage__accountName: storageAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-git-refresh-${token}'
  location: location
  tags: allTags
}

resource zones 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [
  for each in identities: {
    name: 'id-git-refresh-${each.name}-${token}'
    location: location
    tags: allTags
  }
]

module storage 'modules/storage.bicep' = {
  name: 'git-refresh-storage-${token}'
  params: {
    name: storageAccountName
    token: token
    location: location
    tags: allTags
    tableAccess: storageTableAccess
    usesQueue: fanOut == 'queue'
    logAnalyticsWorkspaceId: monitoring.outputs.logAnalyticsWorkspaceId
    privateEndpointSubnetId: privateEndpointSubnetId
    privateDnsZoneResourceGroupId: privateDnsZoneResourceGroupId
    deleteLock: deleteLock
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'git-refresh-monitoring-${token}'
  params: {
    token: token
    location: location
    tags: allTags
    applicationInsightsName: applicationInsightsName
    logRetentionDays: logRetentionDays
    logDailyCapGb: logDailyCapGb
  }
}

module access 'modules/access.bicep' = {
  name: 'git-refresh-access-${token}'
  params: {
    #disable-next-line what-if-short-circuiting
    principalId: identity.properties.principalId
    storageAccountName: storageAccountName
    applicationInsightsName: applicationInsightsName
    tableAccess: storageTableAccess
    usesQueue: fanOut == 'queue'
  }
  // Names do not say which module creates what they name, so Bicep cannot know that it must be there first.
  dependsOn: [storage, monitoring]
}

module keyVault 'modules/key-vault.bicep' = if (usesKeyVault && empty(existingKeyVaultName)) {
  name: 'git-refresh-key-vault-${token}'
  params: {
    name: keyVaultName
    token: token
    location: location
    tags: allTags
    privateEndpointSubnetId: privateEndpointSubnetId
    privateDnsZoneResourceGroupId: privateDnsZoneResourceGroupId
    deleteLock: deleteLock
    purgeProtection: keyVaultPurgeProtection
    retentionDays: keyVaultRetentionDays
    logAnalyticsWorkspaceId: monitoring.outputs.logAnalyticsWorkspaceId
  }
}

module keyVaultAccess 'modules/key-vault-access.bicep' = if (grantKeyVaultAccess) {
  name: 'git-refresh-key-vault-access-${token}'
  scope: resourceGroup(keyVaultResourceGroup)
  params: {
    name: keyVaultName
    #disable-next-line what-if-short-circuiting
    principalId: identity.properties.principalId
  }
  dependsOn: [keyVault]
}

module keyVaultAccessOfZones 'modules/key-vault-access.bicep' = [
  for (each, index) in identities: if (each.grantKeyVaultAccess) {
    name: 'git-refresh-key-vault-access-${each.name}-${token}'
    scope: resourceGroup(keyVaultResourceGroup)
    params: {
      name: keyVaultName
      #disable-next-line what-if-short-circuiting
      principalId: zones[index].properties.principalId
    }
    dependsOn: [keyVault]
  }
]

module app 'modules/function-app.bicep' = {
  name: 'git-refresh-function-app-${token}'
  params: {
    token: token
    location: location
    tags: allTags
    identityId: identity.id
    zoneIdentityIds: [for (each, index) in identities: zones[index].id]
    name: functionAppName
    deploymentContainerUrl: storage.outputs.deploymentContainerUrl
    applicationInsightsId: resourceId('Microsoft.Insights/components', applicationInsightsName)
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    subnetId: subnetId
    publicNetworkAccess: publicNetworkAccess
    allowedIpRanges: allowedIpRanges
    deleteLock: deleteLock
  }
  // The app starts with its roles.
  dependsOn: [access]
}

module appSettings 'modules/app-settings.bicep' = {
  name: 'git-refresh-app-settings-${token}'
  params: {
    appName: functionAppName
    applicationInsightsName: applicationInsightsName
    existing: list(existingSettings, '2025-03-01').properties
    initial: initial
    given: given
    always: always
  }
  dependsOn: [app, monitoring]
}

module alerts 'modules/alerts.bicep' = {
  name: 'git-refresh-alerts-${token}'
  params: {
    token: token
    location: location
    tags: allTags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    logAnalyticsWorkspaceId: monitoring.outputs.logAnalyticsWorkspaceId
    refreshIntervalMinutes: refreshIntervalMinutes
    fanOut: fanOut
    email: alertEmail
    webhook: webhook
    existingActionGroupId: existingActionGroupId
    runbookUrl: runbookUrl
    existingSettings: list(existingSettings, '2025-03-01').properties
    givenSettings: given
  }
  dependsOn: [app]
}

module workbook 'modules/workbook.bicep' = {
  name: 'git-refresh-workbook-${token}'
  params: {
    location: location
    tags: allTags
    applicationInsightsName: applicationInsightsName
  }
  dependsOn: [monitoring]
}

// ---- What the next steps need. azd keeps these in its environment, under these names. ----

@description('Name of the function app.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Object id of the app\'s identity: what Azure roles and Azure DevOps go by.')
output IDENTITY_OBJECT_ID string = identity.properties.principalId

@description('Client id of the app\'s identity: what Databricks goes by, and AZURE_CLIENT_ID.')
output IDENTITY_CLIENT_ID string = identity.properties.clientId

@description('Each further identity: its name, its client id for "identity" in WORKSPACES, its object id for Azure DevOps and for federation policies.')
output ZONE_IDENTITIES { name: string, clientId: string, objectId: string }[] = [
  for (each, index) in identities: {
    name: each.name
    clientId: zones[index].properties.clientId
    objectId: zones[index].properties.principalId
  }
]

@description('Name of the vault that the OAuth secrets belong into; empty without one.')
output KEY_VAULT_NAME string = usesKeyVault ? keyVaultName : ''

@description('Address of that vault.')
output KEY_VAULT_URL string = keyVaultUrl

var secretStep = 'Secret: with oauth_secret, get the role Key Vault Secrets Officer on ${keyVaultName}, where the next step stores the secret (docs/setup.md, step 3).'
var policyStep = 'Trust: with federated, the next step needs an account admin of Databricks for the federation policy, whose subject is ${identity.properties.principalId}.'
var zonesStep = 'Zones: write the clientId of each of ZONE_IDENTITIES as "identity" of its workspaces (docs/permissions.md, Variant: workspaces that do not trust each other).'

@description('What is left to do, in this order.')
output NEXT_STEPS string[] = concat(
  [
    'Wait five minutes, until Azure knows the new roles everywhere. azd up waits by itself.'
    'Publish, from the top of the checkout, unless azd up does: func azure functionapp publish ${app.outputs.name} --python'
    'List: git-refresh init --identity ${identity.properties.clientId} --auth federated writes workspaces.json. For a new service principal, git-refresh onboard --new-principal git-refresh --apply creates it and writes its client_id into the list. Other ways to sign in: docs/setup.md, step 2.'
  ],
  empty(identities) ? [] : [zonesStep],
  [
    grantKeyVaultAccess ? secretStep : policyStep
    'Grant access: git-refresh onboard --apply (docs/setup.md, step 3), or manually for object ID ${identity.properties.principalId} (docs/permissions.md).'
    'Deploy the list: git-refresh deploy --app ${app.outputs.name} --apply --wait turns the alerts on and ends the pause of an app without a list.'
  ]
)
