using './settings.bicep'
