package bind

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/session"
	"github.com/kakitome/kakitome/smpp/smsc"
)

// certificate writes a certificate of its own authority, for the name, and its key.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return cert, key
}

func TestTLSIsAlwaysVerified(t *testing.T) {
	cert, key := certificate(t, "smsc.example.jp")
	other, otherKey := certificate(t, "smsc.example.jp")
	c, err := smsc.New(smsc.Config{Name: "docomo", Listen: "127.0.0.1:0", TLSCertificate: cert, TLSKey: key, Accounts: []smsc.Account{{SystemID: "kakitome", Password: "secret"}}}, nil, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("secret"), 0o600))
	good := Default()
	good.Name, good.Carrier, good.Address, good.SystemID, good.PasswordFile = "docomo-1", "docomo", c.Addr(), "kakitome", password
	good.TLS, good.TLSCA, good.TLSName = true, cert, "smsc.example.jp"
	require.Empty(t, good.Validate())
	dial := func(cfg Config) error {
		o, err := cfg.SessionOptions()
		if err != nil {
			return err
		}
		s, err := session.Dial(t.Context(), o)
		if err == nil {
			s.Close()
		}
		return err
	}
	require.NoError(t, dial(good))
	with := good
	with.TLSCert, with.TLSKey = other, otherKey
	require.NoError(t, dial(with), "a certificate of ours that the carrier does not ask for")

	system, stranger, renamed, open := good, good, good, with
	system.TLSCA = ""
	require.ErrorContains(t, dial(system), "certificate")
	stranger.TLSCA = other
	require.ErrorContains(t, dial(stranger), "certificate")
	renamed.TLSName = "smsc.example.com"
	require.ErrorContains(t, dial(renamed), "smsc.example.com")
	require.NoError(t, os.Chmod(otherKey, 0o644))
	require.ErrorContains(t, dial(open), "may be read by others")

	half, unused := good, good
	half.TLSCert = other
	require.Len(t, half.Validate(), 1)
	unused.TLS = false
	require.Len(t, unused.Validate(), 1)
}
