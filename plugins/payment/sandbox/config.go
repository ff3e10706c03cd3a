package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/kakitome/kakitome/plugins/proto"
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
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	err := d.Decode(&a)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("more than one JSON value")
		}
	}
	if err != nil {
		// The decoder's own words could repeat a part of the secret.
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) && wrongType.Field != "" {
			return account{}, []*proto.Error{configError(wrongType.Field, "want a string")}
		}
		return account{}, []*proto.Error{configError("", "want one JSON object with endpoint, merchant and secret, and nothing else")}
	}
	var faults []*proto.Error
	if fault := endpointFault(a.Endpoint); fault != "" {
		faults = append(faults, configError("endpoint", fault))
	}
	if !merchantID.MatchString(a.Merchant) {
		faults = append(faults, configError("merchant", "want 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"))
	}
	if n := len(a.Secret); n < 16 || n > 256 {
		faults = append(faults, configError("secret", fmt.Sprintf("has %d bytes; want 16 to 256", n)))
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

func configError(field, message string) *proto.Error {
	return &proto.Error{Class: proto.ErrorClass_CONFIG, Code: "bad_config", Field: field, Message: message}
}
