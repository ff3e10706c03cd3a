package web

import "strings"

// filePolicy is what a file of a sender or of ours may do in a browser: nothing. There is no default-src, for viewers draw with parts
// of their own. The sandbox is for the engines that were seen to show a PDF within it, Chrome's and Firefox's; Safari, and with it every
// browser of an iPhone, shows an empty page or a question whether to save it (docs/decisions.md).
func filePolicy(userAgent, ancestors string) string {
	policy := "script-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors " + ancestors
	if strings.Contains(userAgent, " Chrome/") || strings.Contains(userAgent, " Gecko/") { // WebKit is "like Gecko)"
		return "sandbox allow-downloads allow-popups; " + policy
	}
	return policy
}
