// How a deployment treats app settings: what is there stays, but for what the template is given and what is always the template's.
// tests/infra/test_settings.py deploys it again and again. A function that calls another cannot be worked out for a secure parameter.

var list = 'WORKSPACES'
// The platform's own switch for a function: it no longer calls a function whose setting is true.
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
@description('The app settings after a deployment. A new app without a list is paused, and an app that gets its first list is no longer.')
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
@description('Whether the app will be paused and without a list: no run is due yet. An app that has lost its list is not paused, so its alerts go on.')
func waitsForList(existing { *: string }, given { *: string }) bool =>
  !contains(given, list) && empty(trim(existing[?list] ?? '')) && (empty(filter(ours, name => contains(existing, name))) || contains(
    ['true', '1'],
    toLower(existing[?pause] ?? '')
  ))
