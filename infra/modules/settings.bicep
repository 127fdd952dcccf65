// App settings after a deployment: existing ones stay, unless a parameter or the template sets them.
// Bicep cannot evaluate nested functions for a secure parameter, so these functions call no other.

var list = 'WORKSPACES'
// Setting of Azure Functions: if it is true, the function does not run.
var pause = 'AzureWebJobs.refresh_git.Disabled'
var ours = [
  list
  'WORKSPACE_DEFAULTS'
  'KEY_VAULT_URL'
  'REFRESH_SCHEDULE'
  'AZURE_CLIENT_ID'
  'TRUSTED_HOSTS'
  'REFRESH_CONCURRENCY'
  'REFRESH_TIMEOUT_SECONDS'
  'FAN_OUT'
]

@export()
@description('App settings after a deployment. A new app without a list is paused until it gets its first list.')
func deployed(existing { *: string }, initial { *: string }, given { *: string }, always { *: string }) { *: string } =>
  union(
    contains(given, list) || !empty(filter(ours, name => contains(existing, name))) ? {} : { '${pause}': 'true' },
    initial,
    toObject(
      filter(
        items(existing),
        each =>
          (each.key != pause || !contains(given, list) || !empty(trim(existing[?list] ?? ''))) && (!empty(each.value) || !contains(
            initial,
            each.key
          ))
      ),
      each => each.key,
      each => each.value
    ),
    given,
    always
  )

@export()
@description('True if the app is paused and has no list. An app that lost its list is not paused, so its alerts stay on.')
func waitsForList(existing { *: string }, given { *: string }) bool =>
  !contains(given, list) && empty(trim(existing[?list] ?? '')) && (empty(filter(ours, name => contains(existing, name))) || contains(
    ['true', '1'],
    toLower(existing[?pause] ?? '')
  ))
