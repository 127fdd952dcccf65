#!/bin/sh
# A step of .github/workflows/e2e.yml: sh tools/e2e.sh STEP. It has never met Azure so far. Setup: docs/e2e.md.
# Each step reads its input from Azure, so you can repeat any step.
set -eu
: "${GROUP:?Set it to the resource group}" "${DATABRICKS_HOST:?Set it to the workspace}" "${REPOSITORY:?Set it to the repository}"
export DATABRICKS_HOST DATABRICKS_AUTH_TYPE=azure-cli
PRINCIPAL=git-refresh-e2e
DIRECTORY=/Workspace/Shared/git-refresh-e2e
FOLDER=$DIRECTORY/repository
PAUSE=AzureWebJobs.refresh_git.Disabled

fail() {
  echo "$1" >&2
  exit 1
}

# Keep a value out of GitHub's log.
mask() { if [ -n "${GITHUB_ACTIONS:-}" ]; then echo "::add-mask::$1"; fi; }

output() { az deployment group show --name git-refresh --resource-group "$GROUP" --query "properties.outputs.[$1, $2][?@].value | [0]" --output tsv; }

find_app() {
  APP=$(output FUNCTION_APP_NAME functioN_APP_NAME)
  [ -n "$APP" ] || fail "The deployment has no output for the app's name."
  mask "$APP"
}

find_group() { GROUP_ID=$(az group show --name "$GROUP" --query id --output tsv); }

setting() { az functionapp config appsettings list --name "$APP" --resource-group "$GROUP" --query "[?name=='$1'].value" --output tsv; }

# Print the result of a query on resources, one per line.
resources() { az resource list --resource-group "$GROUP" --query "$1" --output tsv; }

# GitHub's ID token expires within minutes, an access token in an hour: get all tokens for the next steps now.
tokens() {
  AZURE_DEVOPS=499b84ac-1321-427f-aa17-267ca6975798
  DATABRICKS=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d
  for RESOURCE in https://management.azure.com https://graph.microsoft.com https://api.loganalytics.io https://storage.azure.com "$AZURE_DEVOPS" "$DATABRICKS"; do
    az account get-access-token --resource "$RESOURCE" --output none
  done
}

# Security: only a group with this workflow's tag is ever emptied.
owned() {
  OWNED=$(az group show --name "$GROUP" --query "tags.\"git-refresh-e2e\"" --output tsv)
  [ "$OWNED" = owned ] || fail "The resource group has no tag git-refresh-e2e=owned. No changes made. Use a resource group only for this workflow."
}

# This includes types that the portal hides.
empty() {
  owned
  THERE=$(resources "[].type")
  LOCKS=$(az lock list --resource-group "$GROUP" --query "[].name" --output tsv)
  [ -z "$THERE$LOCKS" ] || fail "The resource group is not empty. No changes made. It has: $(echo "$THERE" "$LOCKS" | tr '\n' ' ')"
}

# ---- The steps of docs/setup.md ----

deploy() {
  az deployment group create --name git-refresh --resource-group "$GROUP" --parameters infra/app.bicepparam --parameters environmentName="e2e-$RUN" "$@" --output none
}

create() {
  deploy
  sleep 300
}

publish() {
  find_app
  func azure functionapp publish "$APP" --python || { sleep 300; func azure functionapp publish "$APP" --python; }
}

grant() {
  IDENTITY_CLIENT_ID=$(output IDENTITY_CLIENT_ID identitY_CLIENT_ID)
  mask "$IDENTITY_CLIENT_ID"
  python -m git_refresh init --host "$DATABRICKS_HOST" --repository "$REPOSITORY" --path "$FOLDER" --identity "$IDENTITY_CLIENT_ID" --auth federated
  python -m git_refresh onboard --new-principal "$PRINCIPAL" --apply --yes
  python -m git_refresh onboard --apply --yes
}

run() {
  find_app
  python -m git_refresh deploy --app "$APP" --resource-group "$GROUP" --apply --yes --wait
  databricks workspace get-status "$FOLDER" --output json | jq --exit-status '.object_type == "REPO" or .object_type == "DIRECTORY"'
}

prove() {
  find_app
  python -m tools.prove --group "$GROUP" --app "$APP" --json
}

# ---- Tests that change the deployment ----

count_alerts() { az rest --method get --url "https://management.azure.com$GROUP_ID/providers/Microsoft.AlertsManagement/alerts?api-version=2019-03-01&monitorCondition=Fired" --query "length(value[?contains(properties.essentials.alertRule, 'ar-git-refresh-no-run-')])" --output tsv; }

pause() {
  find_app
  find_group
  FIRED=$(count_alerts)
  [ "$FIRED" = 0 ] || fail "no-run fired before the pause."
  az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --settings "$PAUSE=true" --output none
}

# Runs from 60 minutes after the pause. The window is 45 minutes, rules run every 15, and rows can be 8 minutes late.
silence() {
  find_app
  find_group
  for LOOK in 1 2 3 4 5 6 7 8 9; do
    FIRED=$(count_alerts)
    [ "$FIRED" = 0 ] || break
    [ "$LOOK" -lt 9 ] || fail "no-run did not fire within 100 minutes without a run."
    sleep 300
  done
  az functionapp config appsettings delete --name "$APP" --resource-group "$GROUP" --setting-names "$PAUSE" --output none
}

redeploy() {
  find_app
  az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --settings MINE=1 --output none
  LIST=$(setting WORKSPACES)
  deploy --parameters deleteLock=true
  [ "$(setting MINE)" = 1 ] || fail "The second deployment removed an app setting."
  [ "$(setting WORKSPACES)" = "$LIST" ] || fail "The second deployment changed the list."
}

versions() { az storage blob list --account-name "$STORAGE" --container-name app-package --include v --auth-mode login --query "length(@)" --output tsv; }

republish() {
  STORAGE=$(resources "[?type=='Microsoft.Storage/storageAccounts'].name")
  mask "$STORAGE"
  BEFORE=$(versions)
  publish
  AFTER=$(versions)
  [ "$BEFORE" -gt 0 ] && [ "$AFTER" -gt "$BEFORE" ] || fail "The previous code was not kept: $BEFORE versions before, $AFTER after."
}

lock() {
  find_app
  REFUSAL=$(mktemp)
  if az functionapp delete --name "$APP" --resource-group "$GROUP" 2> "$REFUSAL"; then fail "The app was deleted despite its lock."; fi
  grep -q ScopeLocked "$REFUSAL" || fail "The app was not deleted, but not because of its lock."
}

# ---- Cleanup: each part searches for remaining resources, so you can repeat it ----

# Azure continues a deployment after its client has stopped.
stop_deployments() {
  for ROUND in 1 2 3 4 5 6 7 8 9 10; do
    RUNNING=$(az deployment group list --resource-group "$GROUP" --query "[?properties.provisioningState=='Running' || properties.provisioningState=='Accepted'].name" --output tsv)
    [ -n "$RUNNING" ] || return 0
    for NAME in $RUNNING; do
      az deployment group cancel --name "$NAME" --resource-group "$GROUP" || echo "Not canceled in round $ROUND."
    done
    sleep 30
  done
  fail "A deployment is still running. Run this again."
}

pause_apps() {
  APPS=$(resources "[?type=='Microsoft.Web/sites'].name")
  for APP in $APPS; do
    mask "$APP"
    az functionapp config appsettings set --name "$APP" --resource-group "$GROUP" --settings "$PAUSE=true" --output none
  done
}

# Run the commands of `onboard --remove` up to the first failure. The next time it prints the remaining ones.
revoke() {
  FOUND=$(databricks service-principals list --filter "displayName eq \"$PRINCIPAL\"" --output json)
  CLIENT_ID=$(echo "$FOUND" | jq --raw-output '.[]?.applicationId')
  [ -n "$CLIENT_ID" ] || return 0
  IDENTITY_CLIENT_ID=$(az identity list --resource-group "$GROUP" --query "[].clientId" --output tsv)
  mask "$CLIENT_ID"
  mask "$IDENTITY_CLIENT_ID"
  TEMPORARY=$(mktemp -d)
  python -m git_refresh init --host "$DATABRICKS_HOST" --repository "$REPOSITORY" --path "$FOLDER" --identity "$IDENTITY_CLIENT_ID" --auth federated --client-id "$CLIENT_ID" --output "$TEMPORARY/workspaces.json"
  python -m git_refresh onboard --remove --settings "$TEMPORARY/workspaces.json" --json > "$TEMPORARY/removal.json"
  jq --compact-output '.commands[]' "$TEMPORARY/removal.json" > "$TEMPORARY/commands"
  while read -r COMMAND; do
    bash -c "$(printf '%s' "$COMMAND" | jq --raw-output .)" < /dev/null > /dev/null
  done < "$TEMPORARY/commands"
}

remove_folder() {
  THERE=$(databricks workspace list /Workspace/Shared --output json)
  echo "$THERE" | jq --exit-status --arg path "$DIRECTORY" 'any(.[]?; .path == $path or "/Workspace" + .path == $path)' > /dev/null || return 0
  INSIDE=$(databricks workspace list "$DIRECTORY" --output json)
  if echo "$INSIDE" | jq --exit-status 'any(.[]?; true)' > /dev/null; then databricks repos delete "$FOLDER"; fi
  databricks workspace delete "$DIRECTORY" --recursive
}

# The group was empty, so all assignments below it are this run's.
remove_roles() {
  find_group
  ASSIGNMENTS=$(az rest --method get --url "https://management.azure.com$GROUP_ID/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01" --query "value[?starts_with(properties.scope, '$GROUP_ID/')].id" --output tsv)
  for ASSIGNMENT in $ASSIGNMENTS; do az role assignment delete --ids "$ASSIGNMENT"; done
}

remove_locks() {
  LOCKS=$(az lock list --resource-group "$GROUP" --query "[?name=='git-refresh'].id" --output tsv)
  for LOCK in $LOCKS; do az lock delete --ids "$LOCK"; done
}

# In rounds, because resources depend on each other and Azure adds some, such as rules of Application Insights.
remove_resources() {
  QUIET=0
  for ROUND in 1 2 3 4 5 6 7 8 9 10; do
    LEFT=$(resources "$1")
    if [ -z "$LEFT" ]; then
      QUIET=$((QUIET + 1))
      [ "$QUIET" -lt 2 ] || return 0
    else
      QUIET=0
      echo "$LEFT" | while read -r RESOURCE; do
        az resource delete --ids "$RESOURCE" --output none < /dev/null || echo "Not yet deleted in round $ROUND."
      done
    fi
    sleep 60
  done
  fail "The group still has resources. Run this again."
}

# The identity is deleted last: without it, its permissions cannot be found.
clean() {
  owned
  FAILED=
  REVOKED=yes
  for PART in stop_deployments pause_apps revoke remove_folder remove_roles remove_locks; do
    sh "$0" "$PART" || {
      FAILED="$FAILED $PART"
      if [ "$PART" = revoke ]; then REVOKED=; fi
    }
  done
  sh "$0" remove_resources "[?type!='Microsoft.ManagedIdentity/userAssignedIdentities'].id" || FAILED="$FAILED resources"
  if [ -n "$REVOKED" ]; then sh "$0" remove_resources "[].id" || FAILED="$FAILED identities"; fi
  [ -z "$FAILED" ] || fail "Could not remove everything:$FAILED. Run this again."
}

"${@:?Name a step}"
