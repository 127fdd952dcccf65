// Parameters for `az deployment group create`: infra/README.md. azd reads main.parameters.json instead.
// Do not rename this file to main.bicepparam, because azd prefers that name.
using './main.bicep'

param environmentName = 'git-refresh'

// Recipient of the alerts. Set the variable, replace it with an email address, or write: param noRecipient = true
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')

// For large fleets (docs/fan-out.md), write: param fanOut = 'queue'

// git-refresh deploy sets the workspace list. If a pipeline owns the list (docs/pipelines/README.md), write:
//   param workspaceDefaults = union({ WORKSPACE_DEFAULTS: {} }, loadJsonContent('../workspaces.json')).WORKSPACE_DEFAULTS
//   param workspaces = loadJsonContent('../workspaces.json', 'WORKSPACES')
