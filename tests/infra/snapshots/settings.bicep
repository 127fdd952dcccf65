// The app settings of one app in the course of time: each output is what a deployment leaves. test_settings.py says what it must be.
import { deployed, waitsForList } from '../../../infra/modules/settings.bicep'

var pause = 'AzureWebJobs.refresh_git.Disabled'
var initial = { KEY_VAULT_URL: 'https://kv-new.vault.azure.net' }
var list = { WORKSPACES: '["https://adb-1.1.azuredatabricks.net"]' }
var listAndDefaults = union(list, { WORKSPACE_DEFAULTS: '{}' })
var always = {
  REFRESH_SCHEDULE: '0 */15 * * * *'
  FAN_OUT: 'off'
  AZURE_CLIENT_ID: '5a1e0000-0000-4000-8000-000000000002'
  AzureWebJobsStorage__accountName: 'storage'
}
var hourly = union(always, { REFRESH_SCHEDULE: '0 0 * * * *', AZURE_CLIENT_ID: '5a1e0000-0000-4000-8000-000000000003' })
var withAnotherVault = { KEY_VAULT_URL: 'https://kv-given.vault.azure.net' }

var first = deployed({}, initial, {}, always)
// As git-refresh deploy leaves it: with the list, and without the pause of the first deployment.
var running = union(
  initial,
  always,
  listAndDefaults,
  { TRUSTED_HOSTS: '.contoso.com', REFRESH_TIMEOUT_SECONDS: '300', OTHER: 'of somebody else', EMPTY: '' }
)
var withoutList = toObject(
  filter(items(running), each => each.key != 'WORKSPACES'),
  each => each.key,
  each => each.value
)

var cases = {
  first: first
  firstWithList: deployed({}, initial, listAndDefaults, always)
  second: deployed(first, initial, {}, always)
  secondWithList: deployed(first, initial, listAndDefaults, always)
  fromFreshCheckout: deployed(running, initial, {}, hourly)
  withList: deployed(
    running,
    initial,
    { WORKSPACES: '["https://adb-2.2.azuredatabricks.net"]', WORKSPACE_DEFAULTS: '{}' },
    always
  )
  withTimeout: deployed(running, initial, { REFRESH_TIMEOUT_SECONDS: '540' }, always)
  vaultByHand: deployed(union(running, { KEY_VAULT_URL: 'https://kv-hand.vault.azure.net' }), initial, {}, always)
  vaultGiven: deployed(running, {}, withAnotherVault, always)
  vaultEmpty: deployed(union(running, { KEY_VAULT_URL: '' }), initial, {}, always)
  pausedByHand: deployed(union(running, { '${pause}': '1' }), initial, {}, always)
  pausedByHandWithList: deployed(union(running, { '${pause}': '1' }), initial, listAndDefaults, always)
  listDeleted: deployed(withoutList, initial, {}, always)
  listEmptied: deployed(union(running, { WORKSPACES: ' ' }), initial, {}, always)
  listDeletedAndPaused: deployed(union(withoutList, { '${pause}': 'True' }), initial, {}, always)
  madeByHand: deployed(list, initial, {}, always)
}

output before { *: string } = running
output cases { *: { *: string } } = cases
// The same cases with the input of each deployment, one by one: a lambda cannot call a function.
output waiting { *: bool } = {
  first: waitsForList({}, {})
  firstWithList: waitsForList({}, listAndDefaults)
  second: waitsForList(first, {})
  secondWithList: waitsForList(first, listAndDefaults)
  fromFreshCheckout: waitsForList(running, {})
  pausedByHand: waitsForList(union(running, { '${pause}': '1' }), {})
  listDeleted: waitsForList(withoutList, {})
  listEmptied: waitsForList(union(running, { WORKSPACES: ' ' }), {})
  listDeletedAndPaused: waitsForList(union(withoutList, { '${pause}': 'True' }), {})
}
