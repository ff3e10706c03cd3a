package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
)

// wait.js is the only script: what a renderer gives has none. It is allowed by its hash, and only on the pages that it is on.
//
//go:embed wait.js
var waitScript []byte

// waitHash is the script's source expression.
var waitHash = func() string {
	sum := sha256.Sum256(waitScript)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}()

// withWait puts the script at the end of a page. Without it the page has its button.
func withWait(page []byte) []byte {
	end := []byte("</body>")
	at := bytes.LastIndex(page, end)
	if at < 0 {
		return page
	}
	tail := bytes.Clone(page[at:])
	page = append(page[:at], "<script>"...)
	page = append(page, waitScript...)
	page = append(page, "</script>\n"...)
	return append(page, tail...)
}
