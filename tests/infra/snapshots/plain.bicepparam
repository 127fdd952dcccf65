// The defaults of app.bicepparam. The other variants extend them.
using '../../../infra/main.bicep'

param environmentName = 'git-refresh'

param alertEmail = 'oncall@contoso.com'

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
