# Creates the identities that deploy the app: GROUP=… PIPELINES=… REGION=… sh docs/pipelines/identities.sh
# GROUP is the app's resource group, PIPELINES a new one for the identities. VAULT_GROUP and DELETE_LOCK=1 are optional.
set -eu
az group create --name "$PIPELINES" --location "$REGION" --output none
GROUP_ID=$(az group show --name "$GROUP" --query id --output tsv)
for NAME in production what-if; do
  az identity create --name "git-refresh-$NAME" --resource-group "$PIPELINES" --output none
done
DEPLOYER=$(az identity show --name git-refresh-production --resource-group "$PIPELINES" --query principalId --output tsv)
LOOKER=$(az identity show --name git-refresh-what-if --resource-group "$PIPELINES" --query principalId --output tsv)
az role definition create --role-definition "{\"Name\": \"git-refresh what-if\", \"Actions\": [\"*/read\", \"Microsoft.Resources/deployments/whatIf/action\", \"Microsoft.Resources/deployments/validate/action\"], \"AssignableScopes\": [\"$GROUP_ID\"]}" --output none
az role assignment create --assignee-object-id "$DEPLOYER" --assignee-principal-type ServicePrincipal --role "Contributor" --scope "$GROUP_ID" --output none
az role assignment create --assignee-object-id "$LOOKER" --assignee-principal-type ServicePrincipal --role "git-refresh what-if" --scope "$GROUP_ID" --output none

# Without the condition, the deploying identity could make itself the owner of the group. The roles are those of infra/main.bicep.
ROLES="b7e6dc6d-f1e8-4753-8033-0f276bb0955b, 4633458b-17de-408a-b874-0445c86b69e6, 3913510d-42f4-4e42-8a64-420c390055eb, 974c5e8b-45b9-4653-ba55-5f855dd0fb88, 0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
only_these() { printf "((\041(ActionMatches{'Microsoft.Authorization/roleAssignments/%s'})) OR (@%s[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {%s} AND @%s[Microsoft.Authorization/roleAssignments:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}))" "$1" "$2" "$ROLES" "$2"; }
CONDITION="$(only_these write Request) AND $(only_these delete Resource)"
for NAME in "$GROUP" ${VAULT_GROUP:-}; do
  SCOPE=$(az group show --name "$NAME" --query id --output tsv)
  az role assignment create --assignee-object-id "$DEPLOYER" --assignee-principal-type ServicePrincipal --role "Role Based Access Control Administrator" --condition "$CONDITION" --condition-version 2.0 --scope "$SCOPE" --output none
done

# User Access Administrator could do more than set locks.
if [ "${DELETE_LOCK:-}" = 1 ]; then
  az role definition create --role-definition "{\"Name\": \"git-refresh locks\", \"Actions\": [\"Microsoft.Authorization/locks/*\"], \"AssignableScopes\": [\"$GROUP_ID\"]}" --output none
  az role assignment create --assignee-object-id "$DEPLOYER" --assignee-principal-type ServicePrincipal --role "git-refresh locks" --scope "$GROUP_ID" --output none
fi
az role assignment list --assignee "$DEPLOYER" --scope "$GROUP_ID" --query "[].{role: roleDefinitionName, condition: condition}"
