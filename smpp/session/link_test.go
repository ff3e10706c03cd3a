package session

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kakitome/kakitome/smpp/pdu"
)

// acceptPeer is an SMSC's session with an ESME that the test moves by hand.
func acceptPeer(t testing.TB, set Settings) (*Session, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, conn: theirs, in: greeting{conn: theirs}}
	accepted := make(chan *Session)
	go func() {
		s, err := Accept(context.Background(), ours, AcceptOptions{Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK }, Settings: set})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	p.send(1, 0, &pdu.Bind{Mode: pdu.CmdBindTransceiver, SystemID: "kakitome"})
	p.expect(pdu.CmdBindTransceiverResp)
	s := <-accepted
	t.Cleanup(func() { _ = theirs.Close(); s.Close() })
	return s, p
}

// sides gives a session of each side, with a peer moved by hand.
var sides = map[string]func(testing.TB, Settings) (*Session, *peer){"esme": dialPeer, "smsc": acceptPeer}

func request(s *Session) Request {
	if s.smsc {
		return Request{Body: new(pdu.DeliverSM)}
	}
	return submitOf(1)[0]
}

func TestBothSidesCheckTheLinkAndEndASilentOne(t *testing.T) {
	for side, start := range sides {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := start(t, Settings{EnquireInterval: 30 * time.Second, EnquireTimeout: 10 * time.Second})
				began := time.Now()
				h, _ := p.expect(pdu.CmdEnquireLink)
				require.Equal(t, 30*time.Second, time.Since(began))
				p.bare(pdu.CmdEnquireLink, 0, 900) // both at once
				p.expect(pdu.CmdEnquireLinkResp)
				p.bare(pdu.CmdEnquireLinkResp, 0, h.Sequence)
				synctest.Wait()
				require.NoError(t, s.Err())
				p.expect(pdu.CmdEnquireLink)
				<-s.Done()
				require.ErrorIs(t, s.Err(), ErrSilent)
				require.Equal(t, 70*time.Second, time.Since(began))
			})
		})
	}
}

// A peer that sends but does not read: our link check is stuck behind the
// write, and the write's own deadline ends the session.
func TestLinkCheckBehindAStalledPeerEndsTheSession(t *testing.T) {
	for side, start := range sides {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := start(t, Settings{EnquireInterval: time.Second, EnquireTimeout: time.Second, WriteTimeout: 5 * time.Second})
				_, err := s.TrySubmit([]Request{request(s)})
				require.NoError(t, err)
				began := time.Now()
				talk := make(chan struct{})
				go func() { // it goes on asking
					defer close(talk)
					for seq := uint32(2); ; seq++ {
						if _, err := p.conn.Write(pdu.AppendHeader(nil, pdu.CmdEnquireLink, 0, seq)); err != nil {
							return
						}
						time.Sleep(100 * time.Millisecond)
					}
				}()
				<-s.Done()
				require.ErrorIs(t, s.Err(), ErrStalled)
				require.Equal(t, 5*time.Second, time.Since(began))
				<-talk
			})
		})
	}
}

// The peer asks for more answers than it reads: they are bounded.
func TestPeerThatAsksWithoutReadingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := dialPeer(t, Settings{WriteTimeout: time.Hour})
		var flood []byte
		for range 4096 {
			flood = pdu.AppendHeader(flood, pdu.CmdEnquireLink, 0, 7)
		}
		for s.Err() == nil {
			if _, err := p.conn.Write(flood); err != nil {
				break
			}
		}
		<-s.Done()
		require.ErrorIs(t, s.Err(), ErrStalled)
	})
}

func TestUnbindsThatCrossAreBothAnswered(t *testing.T) {
	for side, start := range sides {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := start(t, Settings{})
				unbound := make(chan error)
				go func() { unbound <- s.Unbind(t.Context()) }()
				h, _ := p.expect(pdu.CmdUnbind)
				p.bare(pdu.CmdUnbind, 0, 700)
				r, _ := p.expect(pdu.CmdUnbindResp)
				require.EqualValues(t, 700, r.Sequence)
				_, _ = p.conn.Write(pdu.AppendHeader(nil, pdu.CmdUnbindResp, 0, h.Sequence))
				require.NoError(t, <-unbound)
			})
		})
	}
}

// However a session ends, nothing of it runs afterwards.
func TestNoGoroutineIsLeft(t *testing.T) {
	handlers := func(release <-chan struct{}) Settings {
		return Settings{
			WriteTimeout: 20 * time.Millisecond, EnquireInterval: 10 * time.Millisecond, EnquireTimeout: 20 * time.Millisecond,
			DrainTimeout: 10 * time.Millisecond, UnbindTimeout: 10 * time.Millisecond, ResponseTimeout: 5 * time.Millisecond,
			OnResults:  func(*Session, []Result) { <-release },
			OnRequests: func(*Session, []Incoming) { <-release },
		}
	}
	read := func(p *peer) { _, _ = io.Copy(io.Discard, p.conn) }
	for name, end := range map[string]func(s *Session, p *peer){
		"close":                    func(s *Session, _ *peer) { s.Close() },
		"close while a peer reads": func(s *Session, p *peer) { go read(p); s.Close() },
		"unbind":                   func(s *Session, p *peer) { go read(p); _ = s.Unbind(context.Background()) },
		"unbind of the peer": func(_ *Session, p *peer) {
			go read(p)
			_, _ = p.conn.Write(pdu.AppendHeader(nil, pdu.CmdUnbind, 0, 5))
		},
		"hang up":    func(_ *Session, p *peer) { _ = p.conn.Close() },
		"lost frame": func(_ *Session, p *peer) { go read(p); _, _ = p.conn.Write([]byte("GET / HTTP/1.1\r\n")) },
		"stalled":    func(*Session, *peer) {},
		"silent":     func(_ *Session, p *peer) { go read(p) },
		"abort":      func(s *Session, _ *peer) { s.Abort(errors.New("why not")) },
	} {
		for side, start := range sides {
			t.Run(name+"/"+side, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				release := make(chan struct{})
				s, p := start(t, handlers(release))
				_, err := s.TrySubmit([]Request{request(s), request(s)})
				require.NoError(t, err)
				close(release)
				end(s, p)
				<-s.Done()
				_ = p.conn.Close()
				goleak.VerifyNone(t, before)
			})
		}
	}
}
