package azureauth

import "strings"

// AccountAt returns the account and the cloud of the host of a service ("blob", "dfs", "file"), such as
// ACCOUNT.blob.core.windows.net.
func AccountAt(host, service string) (account string, cloud Cloud, ok bool) {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	for _, c := range clouds {
		if account, ok := strings.CutSuffix(host, "."+service+"."+c.Suffix); ok && account != "" && !strings.Contains(account, ".") {
			return account, c, true
		}
	}
	return "", Cloud{}, false
}
