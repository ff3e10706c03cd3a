package email

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// relay is a real SMTP server that answers as it is told.
type relay struct {
	address string
	ca      string // PEM file
	server  *smtp.Server

	mu     sync.Mutex // guards what follows
	mails  []received
	answer []error // to the next recipients, one each; nil: taken
	logins int
}

type received struct {
	from, to string
	data     string
	tls      bool
}

const (
	relayUser     = "kakitome"
	relayPassword = "himitsu1"
)

// newRelay starts a server with STARTTLS, or with TLS at once, that wants a login.
func newRelay(t *testing.T, implicit bool) *relay {
	r := &relay{ca: filepath.Join(t.TempDir(), "ca.pem")}
	cert := selfSigned(t, r.ca)
	r.server = smtp.NewServer(r)
	r.server.Domain, r.server.TLSConfig, r.server.ErrorLog = "smtp.example.jp", &tls.Config{Certificates: []tls.Certificate{cert}}, silent{}
	r.server.ReadTimeout, r.server.WriteTimeout = 20*time.Second, 20*time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = l.Addr().String()
	if implicit {
		l = tls.NewListener(l, r.server.TLSConfig)
	}
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.server.Close()
		<-served
	})
	return r
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// selfSigned makes a certificate for 127.0.0.1 and writes it to a file.
func selfSigned(t *testing.T, file string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{r: r, conn: c}, nil }

// say has the next recipients answered so.
func (r *relay) say(answers ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = append(r.answer, answers...)
}

func (r *relay) got() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.mails...)
}

type session struct {
	r    *relay
	conn *smtp.Conn
	in   bool
	mail received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		s.r.logins++
		if user != relayUser || password != relayPassword {
			return errors.New("wrong")
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	_, secure := s.conn.TLSConnectionState()
	s.mail = received{from: from, tls: secure}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.mail.to = to
	if len(s.r.answer) == 0 {
		return nil
	}
	err := s.r.answer[0]
	s.r.answer = s.r.answer[1:]
	return err
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.mail.data = string(data)
	s.r.mails = append(s.r.mails, s.mail)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }
