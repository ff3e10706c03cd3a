package intake

import (
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/tenant"
)

// alphabet has 57 characters: letters and digits without those that are read for one another (0 O 1 l I).
const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// pathLetter stands before every token of a message, so that other kinds of link can be told apart.
const pathLetter = "a"

// drawToken fills token with characters drawn evenly: a byte beyond the largest multiple of 57 is thrown away.
func drawToken(token []byte) {
	const fair = 256 / len(alphabet) * len(alphabet)
	var buf [32]byte
	for at := 0; ; {
		rand.Read(buf[:])
		for _, b := range buf {
			if int(b) < fair {
				token[at] = alphabet[int(b)%len(alphabet)]
				if at++; at == len(token) {
					return
				}
			}
		}
	}
}

// mint gives the plan a fresh token and URL of the tenant's length and host.
func (in *Intake) mint(t *tenant.Tenant, p *plan) {
	host, scheme := t.LinkHost, "https://"
	if host == "" {
		host = in.Config.LinkHost
	}
	if in.Config.LinkPlain {
		scheme = "http://"
	}
	n := t.Policy.Token()
	var room [128]byte
	url := append(append(append(append(room[:0], scheme...), host...), "/"+pathLetter+"/"...), make([]byte, n)...)
	drawToken(url[len(url)-n:])
	p.url = string(url)
	p.token = p.url[len(p.url)-n-len(pathLetter+"/"):]
}

// ids gives the ids of one millisecond in the order in which they are asked for, so that the rows of a file are listed as
// they stood in it.
var ids = &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(rand.Reader, 0)}

// newID is an id of the time. Ids are no secrets: tokens are.
func newID(now time.Time) ulid.ULID { return ulid.MustNew(ulid.Timestamp(now), ids) }
