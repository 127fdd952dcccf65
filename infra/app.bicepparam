// For `az deployment group create`. azd reads main.parameters.json instead; it would prefer a main.bicepparam, so this file must not be
// called that.
using './main.bicep'

param environmentName = 'git-refresh'

// Who gets the alerts. Write an address, or in its place: param noRecipient = true
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')

// For large fleets, see docs/fan-out.md: param fanOut = 'queue'

// The list is no part of this file: git-refresh deploy sets it. To have a pipeline own it (infra/README.md), write
//   param workspaceDefaults = union({ WORKSPACE_DEFAULTS: {} }, loadJsonContent('../workspaces.json')).WORKSPACE_DEFAULTS
//   param workspaces = loadJsonContent('../workspaces.json', 'WORKSPACES')
