package session

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kakitome/kakitome/smpp/pdu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the other end of a connection, moved by hand.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   greeting
}

// next reads one PDU; its body is copied.
func (p *peer) next() (pdu.Header, []byte) {
	p.t.Helper()
	h, body, err := p.in.next()
	require.NoError(p.t, err)
	return h, append([]byte(nil), body...)
}

// expect reads one PDU of the kind c.
func (p *peer) expect(c pdu.Command) (pdu.Header, []byte) {
	p.t.Helper()
	h, body := p.next()
	require.Equal(p.t, c, h.Command)
	return h, body
}

func (p *peer) send(seq uint32, status pdu.Status, body pdu.Body) {
	p.t.Helper()
	b, err := pdu.Append(nil, seq, status, body)
	require.NoError(p.t, err)
	_, err = p.conn.Write(b)
	require.NoError(p.t, err)
}

func (p *peer) bare(c pdu.Command, status pdu.Status, seq uint32) {
	p.t.Helper()
	_, err := p.conn.Write(pdu.AppendHeader(nil, c, status, seq))
	require.NoError(p.t, err)
}

func (p *peer) answer(seq uint32, id string) {
	p.t.Helper()
	p.send(seq, pdu.StatusOK, &pdu.MessageResp{To: pdu.CmdSubmitSM, MessageID: []byte(id)})
}

// record gathers results.
type record struct {
	mu  sync.Mutex
	all []Result
}

func (r *record) take(_ *Session, batch []Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range batch {
		x.MessageID = append([]byte(nil), x.MessageID...)
		x.Body = nil
		r.all = append(r.all, x)
	}
}

func (r *record) results() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Result(nil), r.all...)
}

// dialPeer binds a session to a peer that the test moves by hand.
func dialPeer(t testing.TB, set Settings) (*Session, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	p := &peer{t: t, conn: theirs, in: greeting{conn: theirs}}
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		h, _, err := p.in.next()
		if err == nil {
			b, _ := pdu.Append(nil, h.Sequence, pdu.StatusOK, &pdu.BindResp{Mode: h.Command, SystemID: "carrier"})
			_, _ = theirs.Write(b)
		}
	}()
	s, err := Dial(context.Background(), Options{
		Addr: "carrier.test:2775",
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		Bind: pdu.Bind{SystemID: "kakitome", Password: "secret"}, Settings: set,
	})
	require.NoError(t, err)
	<-greeted
	t.Cleanup(func() { _ = theirs.Close(); s.Close() })
	return s, p
}

// pair binds two sessions to each other.
func pair(t testing.TB, client, server Settings) (esme, smsc *Session) {
	t.Helper()
	ours, theirs := net.Pipe()
	return pairOn(t, ours, theirs, client, server)
}

func pairOn(t testing.TB, ours, theirs net.Conn, client, server Settings) (esme, smsc *Session) {
	t.Helper()
	accepted := make(chan error, 1)
	go func() {
		var err error
		smsc, err = Accept(context.Background(), theirs, AcceptOptions{
			SystemID: "carrier", Authorize: func(*pdu.Bind) pdu.Status { return pdu.StatusOK }, Settings: server,
		})
		accepted <- err
	}()
	esme, err := Dial(context.Background(), Options{
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		Bind: pdu.Bind{SystemID: "kakitome"}, Settings: client,
	})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	t.Cleanup(func() { esme.Close(); smsc.Close() })
	return esme, smsc
}

func submitOf(n int) []Request {
	batch := make([]Request, n)
	for i := range batch {
		p := new(pdu.SubmitSM)
		p.Source.Addr = []byte("0005")
		p.Dest = pdu.Address{TON: 1, NPI: 1, Addr: []byte("818000000000")}
		p.ShortMessage = []byte("hi")
		batch[i] = Request{Body: p, Owner: i}
	}
	return batch
}

func within(t testing.TB, d time.Duration, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(d):
		t.Fatalf("not within %v: %s", d, what)
	}
}
