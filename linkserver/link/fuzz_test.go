package link

import (
	"testing"
	"time"
)

func FuzzEntry(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendEntry(nil, Link{Tenant: "water", Expires: time.Unix(1, 0), StateUntil: time.Unix(2, 0), Revoked: true, Claim: true}))
	f.Fuzz(func(t *testing.T, v []byte) {
		l, err := parseEntry("a/x", v)
		if err != nil {
			return
		}
		again, err := parseEntry("a/x", appendEntry(nil, l))
		if err != nil || again != l {
			t.Fatalf("%v became %v (%v)", l, again, err)
		}
	})
}
