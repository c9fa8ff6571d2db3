package testbed

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
)

// Azure is a server of Azure storage that runs.
type Azure struct {
	*Instance
	Account  string
	Key      string // base64
	Endpoint string // of the account's Blob service
}

// Azurite starts Microsoft's emulator of Blob storage with one account. It checks signatures.
func Azurite(t testing.TB) *Azure {
	t.Helper()
	a := &Azure{Account: "testbedaccount", Key: base64.StdEncoding.EncodeToString([]byte(strings.Repeat("testbed-key/+", 4)))}
	s := Server{
		Name:    "azurite",
		Program: "azurite-blob",
		Version: []string{"--version"},
		Args: func(i *Instance) []string {
			return []string{"--silent", "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(i.Port), "--skipApiVersionCheck", "--disableTelemetry"}
		},
		Env: func(*Instance) []string { return []string{"AZURITE_ACCOUNTS=" + a.Account + ":" + a.Key} },
	}
	a.Instance = s.Start(t)
	a.Endpoint = a.URL + "/" + a.Account
	return a
}
