// For `az deployment group create`. Put your own values. azd reads main.parameters.json instead; it would prefer a main.bicepparam, so
// this file must not be called that.
using './main.bicep'

param environmentName = 'git-refresh'

param alertEmail = 'oncall@contoso.com'

// For large fleets, see docs/fan-out.md: param fanOut = 'queue'

// docs/configuration.md has every key. If the list is in a workspaces.json at the top of the checkout, write instead
//   param workspaceDefaults = union({ WORKSPACE_DEFAULTS: {} }, loadJsonContent('../workspaces.json')).WORKSPACE_DEFAULTS
//   param workspaces = loadJsonContent('../workspaces.json', 'WORKSPACES')
param workspaceDefaults = {
  client_id: '00000000-0000-0000-0000-000000000000'
  client_secret_name: 'databricks-oauth-secret'
}

param workspaces = [
  {
    host: 'https://adb-1234567890123456.7.azuredatabricks.net'
    name: 'production'
    folders: [
      {
        path: '/Repos/etl/production'
        url: 'https://dev.azure.com/contoso/Data%20Platform/_git/etl'
        branch: 'main'
      }
    ]
  }
]
