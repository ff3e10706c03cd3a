package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"time"
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

// waitEvery is how long the script waits unless it is told another time.
const waitEvery = 3 * time.Minute

// withWait puts the script at the end of a page, to look again after some time. Without it the page has its button.
func withWait(page []byte, after time.Duration) []byte {
	end := []byte("</body>")
	at := bytes.LastIndex(page, end)
	if at < 0 {
		return page
	}
	tail := bytes.Clone(page[at:])
	page = append(page[:at], "<script"...)
	if after != waitEvery {
		page = fmt.Appendf(page, ` data-after="%d"`, after.Milliseconds())
	}
	page = append(page, '>')
	page = append(page, waitScript...)
	page = append(page, "</script>\n"...)
	return append(page, tail...)
}
