package main

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

// account is an instance's configuration: config.schema.json.
type account struct {
	Endpoint string `json:"endpoint"`
	Merchant string `json:"merchant"`
	Secret   string `json:"secret"`
}

var merchantID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func validateConfig(config []byte) []*proto.Error {
	_, faults := parseConfig(config)
	return faults
}

// parseConfig reports every fault, none with the secret in it.
func parseConfig(config []byte) (account, []*proto.Error) {
	var a account
	faults := sdk.ParseConfig(config, &a)
	if faults != nil {
		return account{}, faults
	}
	if fault := endpointFault(a.Endpoint); fault != "" {
		faults = append(faults, sdk.ConfigError("endpoint", fault))
	}
	if !merchantID.MatchString(a.Merchant) {
		faults = append(faults, sdk.ConfigError("merchant", "want 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"))
	}
	if n := len(a.Secret); n < 16 || n > 256 {
		faults = append(faults, sdk.ConfigError("secret", fmt.Sprintf("has %d bytes; want 16 to 256", n)))
	}
	a.Endpoint = strings.TrimSuffix(a.Endpoint, "/")
	return a, faults
}

func endpointFault(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "want an http or https URL"
	case u.User != nil:
		return "want no user or password in the URL"
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "want no path, query or fragment"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "plain http is for loopback addresses only; want https"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
