package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func dialOn(ctx context.Context, conn net.Conn) (*Session, error) {
	return Dial(ctx, Options{
		Addr: "carrier.test:2775", BindTimeout: 5 * time.Second,
		Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"},
	})
}

func TestCarrierSilentAtBindIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		began := time.Now()
		_, err := dialOn(t.Context(), ours)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		require.NotContains(t, err.Error(), "secret")
	})
}

func TestContextEndsABind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := dialOn(ctx, ours)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestRefusedBindNamesTheStatus(t *testing.T) {
	for _, want := range []pdu.Status{pdu.StatusInvalidPassword, pdu.StatusAlreadyBound} {
		ours, theirs := net.Pipe()
		go func() {
			_, err := Accept(context.Background(), theirs, AcceptOptions{Authorize: func(b *pdu.Bind) pdu.Status {
				if b.Password != "secret" || b.InterfaceVersion != pdu.Version34 {
					t.Error("bind", b)
				}
				return want
			}})
			if err == nil {
				t.Error("accepted")
			}
		}()
		_, err := dialOn(t.Context(), ours)
		var refused *BindError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Status)
	}
}

func TestPDUsBehindTheBindResponseAreNotLost(t *testing.T) {
	ours, theirs := net.Pipe()
	got := make(chan struct{})
	go func() {
		in := greeting{conn: theirs}
		h, _, err := in.next()
		if err != nil {
			return
		}
		out, _ := pdu.Append(nil, h.Sequence, pdu.StatusOK, &pdu.BindResp{Mode: h.Command})
		out, _ = pdu.Append(out, 1, pdu.StatusOK, new(pdu.DeliverSM))
		_, _ = theirs.Write(out)
		_, _, _ = in.next()
	}()
	s, err := Dial(t.Context(), Options{
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		Settings: Settings{OnRequests: func(_ *Session, batch []Incoming) {
			_ = batch[0].Reply.Respond(pdu.StatusOK)
			close(got)
		}},
	})
	require.NoError(t, err)
	defer s.Close()
	within(t, 5*time.Second, "deliver_sm", got)
}

func TestRequestsBeforeTheBindAreRefused(t *testing.T) {
	ours, theirs := net.Pipe()
	accepted := make(chan *Session)
	go func() {
		s, _ := Accept(context.Background(), theirs, AcceptOptions{Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK }})
		accepted <- s
	}()
	p := &peer{t: t, conn: ours, in: greeting{conn: ours}}
	p.bare(pdu.CmdEnquireLink, 0, 1)
	p.expect(pdu.CmdEnquireLinkResp)
	p.bare(0x77, 0, 2)
	p.expect(pdu.CmdGenericNack)
	p.send(3, 0, new(pdu.SubmitSM))
	h, _ := p.expect(pdu.CmdSubmitSMResp)
	require.Equal(t, pdu.StatusInvalidBindStatus, h.Status)
	p.send(4, 0, &pdu.Bind{Mode: pdu.CmdBindReceiver, SystemID: "k"})
	_, body := p.expect(pdu.CmdBindReceiverResp)
	var resp pdu.BindResp
	require.NoError(t, resp.ParseBody(body))
	v, ok := resp.TLVs.Uint(pdu.TagSCInterfaceVersion)
	require.True(t, ok)
	require.EqualValues(t, pdu.Version34, v)
	(<-accepted).Close()
}

func TestBindOverTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "carrier"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)

	served := make(chan struct{})
	go func() {
		defer close(served)
		for range 2 {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := Accept(context.Background(), conn, AcceptOptions{
				Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK },
				Settings: Settings{OnRequests: func(_ *Session, batch []Incoming) {
					for _, in := range batch {
						_ = in.Reply.Respond(pdu.StatusOK)
					}
				}},
			})
			if err == nil {
				<-s.Done()
			}
		}
	}()
	got := make(chan struct{})
	dial := func(config *tls.Config) (*Session, error) {
		return Dial(t.Context(), Options{
			Addr: "localhost:" + port, TLS: config,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
			},
			Settings: Settings{OnResults: func(_ *Session, batch []Result) {
				if batch[0].Outcome == Answered {
					close(got)
				}
			}},
		})
	}
	_, err = dial(&tls.Config{})
	var unknown *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unknown)
	s, err := dial(&tls.Config{RootCAs: pool})
	require.NoError(t, err)
	_, err = s.TrySubmit(submitOf(1))
	require.NoError(t, err)
	within(t, 5*time.Second, "answer", got)
	require.NoError(t, s.Unbind(t.Context()))
	<-served
}
