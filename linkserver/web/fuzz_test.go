package web

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
)

func FuzzPath(f *testing.F) {
	for _, p := range []string{"/a/SQND01gr", "/a/SQND01gr/open", "/a/SQND01gr/documents/notice.pdf", "/a/SQND01gr/return", "/a/../x", "//a/SQND01gr", "/a/\x00\x00\x00\x00\x00\x00\x00\x00"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, ok := parsePath(path)
		if !ok {
			return
		}
		if len(p.token) > link.MaxToken || !strings.HasPrefix(path, "/"+p.token) || strings.ContainsAny(p.token[2:], "/._-%\"<> ") {
			t.Fatalf("%q gives token %q", path, p.token)
		}
		if strings.Contains(p.name, "/") {
			t.Fatalf("%q gives name %q", path, p.name)
		}
	})
}

func FuzzCookie(f *testing.F) {
	s, err := newSeal(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	name := cookieName("a/SQND01gr", true)
	sealed := journey.NewSession("a/SQND01gr", time.Unix(0, 0))
	good := s.write(name, sealed)
	f.Add(good)
	f.Add("")
	f.Add(good[:20])
	box, err := b64.DecodeString(good)
	if err != nil {
		f.Fatal(err)
	}
	for i := range box { // a bit of each byte: what gives another session of the same link where nobody looks at the seal
		forged := slices.Clone(box)
		forged[i] ^= 1
		f.Add(b64.EncodeToString(forged))
	}
	f.Fuzz(func(t *testing.T, value string) {
		if session, ok := s.read(name, []byte(value)); ok && !reflect.DeepEqual(session, sealed) {
			t.Fatalf("%q was believed: %+v", value, session)
		}
		if _, ok := s.read(cookieName("a/other234567", true), []byte(value)); ok {
			t.Fatalf("%q was believed for another link", value)
		}
	})
}

func FuzzPreferred(f *testing.F) {
	f.Add("en-US,en;q=0.9")
	f.Add(strings.Repeat(",", 100))
	f.Fuzz(func(t *testing.T, header string) {
		if l := preferred(header); l != "ja" && l != "en" {
			t.Fatal(l)
		}
	})
}
