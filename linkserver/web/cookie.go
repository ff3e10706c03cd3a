package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/kakitome/kakitome/linkserver/journey"
	"github.com/kakitome/kakitome/linkserver/link"
)

// seal keeps sessions in cookies and makes form tokens.
//
//	cookie  base64url( nonce, 12 bytes | AES-256-GCM of the session's JSON, with the cookie's name as additional data )
//	form    base64url( first 16 bytes of HMAC-SHA256 of session id and link token )
type seal struct {
	box  cipher.AEAD
	macs sync.Pool // of hash.Hash, HMACs for form tokens
}

// maxCookie bounds what is tried to be opened.
const maxCookie = 3584

var b64 = base64.RawURLEncoding

func newSeal(key []byte) (*seal, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("session key has %d bytes, 32 are needed", len(key))
	}
	derive := func(what string) []byte {
		k, err := hkdf.Key(sha256.New, key, nil, "kakitome link "+what, 32)
		if err != nil {
			panic("BUG: derive a key: " + err.Error())
		}
		return k
	}
	block, err := aes.NewCipher(derive("session"))
	if err != nil {
		panic("BUG: session cipher: " + err.Error())
	}
	box, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: session cipher: " + err.Error())
	}
	form := derive("form")
	return &seal{box: box, macs: sync.Pool{New: func() any { return hmac.New(sha256.New, form) }}}, nil
}

// cookieName is that of a link's session. Browsers keep a name that begins with __Host- only from a TLS connection, for
// this host alone. RFC 6265bis §4.1.3.2
func cookieName(token string, https bool) string {
	sum := sha256.Sum256([]byte(token))
	name := "kk-" + hex.EncodeToString(sum[:6])
	if https {
		name = "__Host-" + name
	}
	return name
}

func (s *seal) write(name string, session *journey.Session) string {
	nonce := make([]byte, s.box.NonceSize(), 256)
	rand.Read(nonce)
	box, err := session.AppendJSON(nonce)
	if err != nil {
		panic("BUG: write a session: " + err.Error())
	}
	plain := box[len(nonce):]
	return b64.EncodeToString(s.box.Seal(box[:len(nonce)], nonce, plain, []byte(name)))
}

func (s *seal) read(name string, value []byte) (*journey.Session, bool) {
	if len(value) == 0 || len(value) > maxCookie {
		return nil, false
	}
	box, err := b64.DecodeString(string(value))
	if err != nil || len(box) < s.box.NonceSize() {
		return nil, false
	}
	plain, err := s.box.Open(nil, box[:s.box.NonceSize()], box[s.box.NonceSize():], []byte(name))
	if err != nil {
		return nil, false
	}
	session := new(journey.Session)
	return session, json.Unmarshal(plain, session) == nil
}

func (s *seal) formToken(session *journey.Session) string {
	mac := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(session.ID[:])
	mac.Write([]byte(session.Token))
	return b64.EncodeToString(mac.Sum(make([]byte, 0, sha256.Size))[:16])
}

func (s *seal) formHolds(session *journey.Session, given []byte) bool {
	return subtle.ConstantTimeCompare([]byte(s.formToken(session)), given) == 1
}

// hasCookies: most that come by an SMS bring none.
func hasCookies(ctx *fasthttp.RequestCtx) bool { return len(ctx.Request.Header.Peek("Cookie")) > 0 }

// session is the one of this browser for the link; false: it has none that is still good.
func (s *Server) session(ctx *fasthttp.RequestCtx, c client, l link.Link) (*journey.Session, bool) {
	if !hasCookies(ctx) {
		return nil, false
	}
	name := cookieName(l.Token, c.https)
	session, ok := s.seal.read(name, ctx.Request.Header.Cookie(name))
	return session, ok && session.Holds(l, s.o.Now())
}

// keep writes the session into the answer.
func (s *Server) keep(ctx *fasthttp.RequestCtx, c client, session *journey.Session) {
	session.Seen = s.o.Now().Unix()
	name := cookieName(session.Token, c.https)
	s.setCookie(ctx, c, name, s.seal.write(name, session), journey.SessionIdle)
}

func (s *Server) setCookie(ctx *fasthttp.RequestCtx, c client, name, value string, life time.Duration) {
	k := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(k)
	k.SetKey(name)
	k.SetValue(value)
	k.SetPath("/")
	k.SetMaxAge(int(life.Seconds()))
	k.SetHTTPOnly(true)
	k.SetSecure(c.https)
	k.SetSameSite(fasthttp.CookieSameSiteLaxMode) // a return from an agent's page is a navigation from there
	ctx.Response.Header.SetCookie(k)
}
