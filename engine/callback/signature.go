package callback

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signatures follow Standard Webhooks 1.0.0 (symmetric, v1): HMAC-SHA256 over "<webhook-id>.<webhook-timestamp>.<body>".

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes
	maxSecret    = 64
)

// The headers of a notice.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// NewSecret makes a signing secret of 256 random bits: "whsec_" and base64.
func NewSecret() string {
	key := make([]byte, 32)
	rand.Read(key)
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

var errSecret = errors.New("a secret is whsec_ and the base64 of 24 to 64 bytes")

// ParseSecret returns the key of a secret.
func ParseSecret(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
		return nil, errSecret
	}
	return key, nil
}

// Sign is one signature of a notice.
func Sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Signed are the headers of a notice: a signature for each key, so that a receiver may know the old secret or the new one.
func Signed(keys [][]byte, id string, at time.Time, body []byte) http.Header {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		signatures[i] = Sign(key, id, at, body)
	}
	return http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"Kakitome-Callback/1"},
		HeaderID: {id}, HeaderTimestamp: {strconv.FormatInt(at.Unix(), 10)}, HeaderSignature: {strings.Join(signatures, " ")},
	}
}
