// All Azure resources of the app, in one resource group. README.md describes them.
targetScope = 'resourceGroup'

import { isIdLike, isName, sizeOfArray, sizeOfObject } from 'modules/checks.bicep'

// ---- App settings: docs/configuration.md. If a parameter has no value, the app keeps its setting. ----

@description('Workspace list for the app setting WORKSPACES.')
@minLength(1)
#disable-next-line use-user-defined-types // the app checks the list, and reports every mistake
param workspaces array?

@description('Shared keys for the app setting WORKSPACE_DEFAULTS. With only workspaces set: {}.')
#disable-next-line use-user-defined-types
param workspaceDefaults object?

@description('Minutes between two runs. With 60, a token might expire before the next run.')
@allowed([15, 30, 60])
param refreshIntervalMinutes int = 15

@description('NCRONTAB schedule in UTC, with gaps of at most refreshIntervalMinutes.')
param refreshSchedule string = refreshIntervalMinutes == 60 ? '0 0 * * * *' : '0 */${refreshIntervalMinutes} * * * *'

@description('Comma-separated hosts or suffixes that can also receive tokens.')
param trustedHosts string?

@description('Maximum number of concurrent operations.')
@minValue(1)
@maxValue(256)
param refreshConcurrency int?

@description('Time limit of a run in seconds.')
@minValue(30)
@maxValue(580)
param refreshTimeoutSeconds int?

@description('off: one instance refreshes the whole list. queue: several instances refresh slices.')
@allowed(['off', 'queue'])
param fanOut string = 'off'

// ---- Hosting and network ----

@description('Region of all resources. It must offer Flex Consumption.')
param location string = resourceGroup().location

@description('Name of this installation, unique in its resource group.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Additional tags for all resources.')
param tags { *: string } = {}

@description('Maximum instances of a function: by default 10 with fanOut queue, otherwise 1.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = fanOut == 'queue' ? 10 : 1

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 512

@description('Resource ID of a subnet for outbound traffic, delegated to Microsoft.App/environments.')
param subnetId string = ''

@description('Access from public networks, for publishing and manual runs.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string = 'Enabled'

@description('CIDR ranges that can reach the app. Empty: all.')
param allowedIpRanges string[] = []

@description('Resource ID of a subnet for private endpoints. Requires subnetId.')
param privateEndpointSubnetId string = ''

@description('Resource ID of the resource group with the private DNS zones. Empty: an Azure policy registers the endpoints.')
param privateDnsZoneResourceGroupId string = ''

@description('Lets the Functions host store its events in a table.')
param storageTableAccess bool = false

@description('Locks app, storage and created vault. Requires Owner or User Access Administrator.')
param deleteLock bool = false

// ---- Identities ----

@description('An additional identity for one trust zone: the workspaces whose "identity" is its client ID.')
@sealed()
type zoneIdentity = {
  @description('Unique name in this installation: letters, digits and hyphens.')
  @minLength(1)
  @maxLength(20)
  name: string

  @description('Lets the identity read every secret of the vault. Needed only if a workspace of the zone uses an OAuth secret.')
  grantKeyVaultAccess: bool
}

@description('Additional identities, one for each trust zone.')
param identities zoneIdentity[] = []

@description('Lets the app identity read secrets. If no identity can, no vault is created.')
param grantKeyVaultAccess bool = true

// ---- Key Vault ----

@description('Name of an existing vault in this subscription.')
param existingKeyVaultName string = ''

@description('Resource group of the existing vault.')
param existingKeyVaultResourceGroup string = resourceGroup().name

@description('Purge protection of the created vault. Cannot be turned off again.')
param keyVaultPurgeProtection bool = true

@description('Days that the created vault keeps deleted items. Cannot be changed later.')
@minValue(7)
@maxValue(90)
param keyVaultRetentionDays int = 7

// ---- Monitoring ----

@description('Days to keep logs.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Daily limit of logs in GB. 1,000 workspaces log about 0.15 GB.')
@minValue(1)
param logDailyCapGb int = 1

@description('Email address for alerts.')
param alertEmail string = ''

@description('Webhook URL for alerts, with the common alert schema.')
@secure()
param alertWebhook string = ''

@description('Resource ID of an action group, instead of alertEmail and alertWebhook.')
param existingActionGroupId string = ''

@description('URL of docs/runbook.md, for links in alerts. In Azure Repos, append &anchor=.')
param runbookUrl string = ''

@description('Allows a deployment without a recipient of alerts.')
param noRecipient bool = false

// ---- Invalid parameters are reported together, before Azure creates a resource. Azure adds the final full stop. ----

// Linux limits the length of an app setting: docs/configuration.md.
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
      '${each.name} has ${each.size} bytes as JSON, and at most ${each.fits} fit into an app setting. Shorten it as docs/configuration.md describes'
  ),
  empty(privateEndpointSubnetId) || !empty(subnetId)
    ? []
    : [
        'privateEndpointSubnetId requires subnetId, because the app reaches its storage account through that subnet. Set subnetId to the resource ID of a subnet that is delegated to Microsoft.App/environments'
      ],
  map(
    filter(ids, each => !empty(each.value) && !isIdLike(each.value, each.example)),
    each => '${each.name} is "${each.value}", which is not the expected resource ID. Write ${each.example}'
  ),
  map(
    filter(identities, each => !isName(each.name)),
    each => 'identities has the name "${each.name}". Write letters, digits and hyphens only'
  ),
  map(union(repeatedNames, []), name => 'identities has the name "${name}" more than once. Write another name for each identity'),
  isName(existingKeyVaultName)
    ? []
    : [
        'existingKeyVaultName is "${existingKeyVaultName}", which is not the name of a vault. Write only the name, such as kv-contoso'
      ]
)

// Not one of the problems above: alertWebhook is secure, and resource names must not depend on it.
var webhook = !empty(alertEmail) || !empty(existingActionGroupId) || noRecipient || !empty(alertWebhook)
  ? alertWebhook
  : fail('the deployment names no recipient of alerts. Set alertEmail, alertWebhook or existingActionGroupId, or noRecipient to true')
// Names depend on the resource group and environmentName, so a second deployment finds its resources.
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
  // Bicep cannot derive this order: the parameters are names, not references.
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
  // The app must not start before its role assignments exist.
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

// ---- Outputs. azd stores them in its environment under these names. ----

@description('Name of the function app.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Object ID of the app identity, for Azure roles, Azure DevOps and federation policies.')
output IDENTITY_OBJECT_ID string = identity.properties.principalId

@description('Client ID of the app identity, for the workspace list and AZURE_CLIENT_ID.')
output IDENTITY_CLIENT_ID string = identity.properties.clientId

@description('Additional identities: name, client ID for "identity" in the workspace list, and object ID for Azure DevOps and federation policies.')
output ZONE_IDENTITIES { name: string, clientId: string, objectId: string }[] = [
  for (each, index) in identities: {
    name: each.name
    clientId: zones[index].properties.clientId
    objectId: zones[index].properties.principalId
  }
]

@description('Name of the vault for OAuth secrets. Empty if no identity reads secrets.')
output KEY_VAULT_NAME string = usesKeyVault ? keyVaultName : ''

@description('URI of the vault for OAuth secrets. Empty if no identity reads secrets.')
output KEY_VAULT_URL string = keyVaultUrl

@description('Page with the next steps, and the IDs that they need.')
output NEXT_STEPS string[] = [
  'Continue with "Create the list" in docs/setup.md.'
  'App ${app.outputs.name}, client ID ${identity.properties.clientId}, object ID ${identity.properties.principalId}'
]
