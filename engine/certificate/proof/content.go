package proof

import (
	"crypto/hmac"
	"crypto/sha256"
)

// The parts of a message's content that its head commits to.
const (
	PartText   = "text"   // the SMS, its link replaced by {url}
	PartPage   = "page"   // what the link shows, as JSON
	PartNumber = "number" // E.164
)

// Opening shows that one part of the content is what was accepted.
type Opening struct {
	Part  string `json:"part"`
	Plain string `json:"plain"`
	Blind Hash   `json:"blind"`
}

// Open makes the opening of a part. secret is the one that is sealed with the content.
func Open(secret []byte, part, plain string) Opening {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(part))
	return Opening{part, plain, Hash(mac.Sum(nil))}
}

// Commitment is what the head of the message says of the part: it binds to the plain text and hides it.
func (o *Opening) Commitment() Hash {
	b := append([]byte("kakitome content 1\x00"), o.Blind[:]...)
	return sha256.Sum256(appendText(appendText(b, o.Part), o.Plain))
}

// ContentField is the field of the first event that holds the commitment to a part.
func ContentField(part string) string { return "content_" + part }
