// How a deployment treats app settings: what is there stays, but for what the template is given and what is always the template's.
// tests/infra/test_settings.py deploys it again and again.

var list = 'WORKSPACES'
// The platform's own switch for a function: it calls a function no more whose setting is true.
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
@description('The app settings after a deployment. initial is set where there is none; an app without a list is paused until it gets one, if it is new.')
func deployed(existing { *: string }, initial { *: string }, given { *: string }, always { *: string }) { *: string } =>
  union(
    isNew(existing) && !contains(given, list) ? { '${pause}': 'true' } : {},
    initial,
    keptOf(existing, initial, contains(given, list) && waitsForList(existing) ? [pause] : []),
    given,
    always
  )

@export()
@description('Whether an app is paused and has no list: no run is due yet. An app that has lost its list is not paused, so its alerts go on.')
func waitsForList(settings { *: string }) bool =>
  empty(trim(settings[?list] ?? '')) && contains(['true', '1'], toLower(settings[?pause] ?? ''))

func isNew(settings { *: string }) bool => empty(filter(ours, name => contains(settings, name)))

func keptOf(existing { *: string }, initial { *: string }, dropped string[]) { *: string } =>
  toObject(
    filter(
      items(existing),
      each => !contains(dropped, each.key) && (!empty(each.value) || !contains(initial, each.key))
    ),
    each => each.key,
    each => each.value
  )
